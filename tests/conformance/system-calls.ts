/** Killing a program at one of its system calls, with strace(1). */

import { readFileSync } from "node:fs";
import { spawnSync } from "bun";

/** The n-th call of that name that the program's main thread makes. */
export interface Point {
  readonly call: string;
  readonly n: number;
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
    if (isInside) points.push({ call, n });
    if (line.includes(MARK.begin)) isInside = true;
  }
  return points;
}

/** Runs the program until it makes that call, which it does not survive. @returns false when it did not make it */
export function killAt({ call, n }: Point, command: readonly string[]): boolean {
  const inject = ["-e", `trace=${call}`, "-e", `inject=${call}:signal=KILL:when=${n}`];
  const traced = ["strace", "-o", "/dev/null", ...inject, ...command];
  const { exitCode, signalCode } = spawnSync(traced, { stdout: "ignore", stderr: "ignore" });
  return signalCode === "SIGKILL" || exitCode === 128 + 9;
}
