/** Killing a program at one of its system calls, or letting that call fail, with strace(1). */

import { readFileSync } from "node:fs";
import { spawnSync } from "bun";

/** The n-th call of that name that the program's main thread makes. */
export interface Point {
  readonly call: string;
  readonly n: number;
  /** As strace shows it. */
  readonly line: string;
}

const CALLS = [
  ...["open", "openat", "statx", "lstat", "stat", "newfstatat", "lseek", "fstat", "getdents64", "mkdir"],
  ...["mmap", "munmap", "fallocate", "ftruncate", "fchmod", "flock", "fcntl", "write", "pwrite64", "pread64"],
  ...["link", "rename", "unlink", "close", "msync", "futex"],
];

/** What a program looks for to mark where the interesting calls begin and end. */
export const MARK = { begin: "/marker-begin", end: "/marker-end" } as const;

/** The calls that a program makes between the marks. */
export function pointsOf(command: readonly string[], logPath: string): Point[] {
  spawnSync(["strace", "-o", logPath, "-e", `trace=${CALLS.join(",")}`, ...command]);
  const counts = new Map<string, number>();
  const points: Point[] = [];
  let isInside = false;
  for (const line of readFileSync(logPath, "utf8").split("\n")) {
    const call = /^(\w+)\(/.exec(line)?.[1];
    if (call === undefined) continue;
    const n = (counts.get(call) ?? 0) + 1;
    counts.set(call, n);
    if (line.includes(MARK.end)) break;
    if (isInside) points.push({ call, n, line });
    if (line.includes(MARK.begin)) isInside = true;
  }
  return points;
}

/** The errors that each system call can plausibly have, EINTR and a full disk included. */
export const ERRORS: Readonly<Record<string, readonly string[]>> = {
  openat: ["EIO", "EMFILE", "EACCES", "EINTR"],
  open: ["EIO", "EMFILE", "EACCES", "EINTR"],
  statx: ["EIO", "EACCES"],
  stat: ["EIO", "EACCES"],
  lstat: ["EIO", "EACCES"],
  newfstatat: ["EIO", "EACCES"],
  fstat: ["EIO"],
  lseek: ["EIO", "EOVERFLOW"],
  getdents64: ["EIO"],
  mkdir: ["ENOSPC", "EACCES"],
  mmap: ["ENOMEM", "EIO"],
  fallocate: ["ENOSPC", "EIO", "EOPNOTSUPP", "EINTR"],
  ftruncate: ["EIO", "ENOSPC"],
  fchmod: ["EPERM", "EROFS"],
  flock: ["EAGAIN", "EINTR", "ENOLCK"],
  fcntl: ["EAGAIN", "EINTR", "ENOLCK", "EMFILE"],
  write: ["EIO", "ENOSPC", "EINTR"],
  pwrite64: ["EIO", "ENOSPC", "EINTR"],
  pread64: ["EIO", "EINTR"],
  link: ["EPERM", "EEXIST", "EMLINK", "EIO"],
  rename: ["EIO", "ENOSPC", "EACCES"],
  unlink: ["EIO", "EACCES", "EBUSY"],
  // Not close(2), munmap(2) and futex(2): what strace lets fail is not done, and the kernel does it all the same.
  msync: ["EIO"],
};

/** What came of a program one of whose system calls failed. */
export interface Outcome {
  readonly exitCode: number | null;
  readonly signal: number | string | undefined;
  readonly output: string;
  readonly errors: string;
  /** The calls that failed between the marks, as strace shows them. */
  readonly failed: readonly string[];
  /** Those that failed before or after. */
  readonly missed: readonly string[];
}

/** A call that is to fail: the n-th one, and with `every` each so many after it. */
export interface Injection extends Pick<Point, "call" | "n"> {
  readonly errno: string;
  readonly every?: number;
}

/** Runs the program and lets system calls fail. */
export async function failAt(
  injections: readonly Injection[],
  command: readonly string[],
  { logPath, timeoutMs }: { readonly logPath: string; readonly timeoutMs: number },
): Promise<Outcome> {
  const traced = new Set([...injections.map(({ call }) => call), "stat", "statx", "lstat", "newfstatat"]);
  const inject = injections.map(
    ({ call, n, errno, every }) =>
      `inject=${call}:error=${errno}:when=${n}${every === undefined ? "" : `+${every}`}`,
  );
  inject.unshift(`trace=${[...traced].join(",")}`);
  const child = Bun.spawn(["strace", "-o", logPath, ...inject.flatMap((each) => ["-e", each]), ...command], {
    stdout: "pipe",
    stderr: "pipe",
  });
  const timer = setTimeout(() => child.kill("SIGTERM"), timeoutMs);
  const [output, errors, exitCode] = await Promise.all([
    new Response(child.stdout).text(),
    new Response(child.stderr).text(),
    child.exited,
  ]);
  clearTimeout(timer);
  const signal = child.signalCode ?? undefined;
  return { exitCode, signal, output, errors, ...injectedIn(readFileSync(logPath, "utf8")) };
}

function injectedIn(log: string): Pick<Outcome, "failed" | "missed"> {
  const [failed, missed]: [string[], string[]] = [[], []];
  let isInside = false;
  for (const line of log.split("\n")) {
    if (line.includes(MARK.end)) isInside = false;
    if (line.includes("(INJECTED)")) (isInside ? failed : missed).push(line);
    if (line.includes(MARK.begin)) isInside = true;
  }
  return { failed, missed };
}

/** Runs the program until it makes that call, which it does not survive. @returns false when it did not make it */
export function killAt({ call, n }: Point, command: readonly string[]): boolean {
  const inject = ["-e", `trace=${call}`, "-e", `inject=${call}:signal=KILL:when=${n}`];
  const traced = ["strace", "-o", "/dev/null", ...inject, ...command];
  const { exitCode, signalCode } = spawnSync(traced, { stdout: "ignore", stderr: "ignore" });
  return signalCode === "SIGKILL" || exitCode === 128 + 9;
}
