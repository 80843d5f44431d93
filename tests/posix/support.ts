/** What the tests of POSIX objects share: names of their own, other processes, and cleaning up. */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { unlinkMessageQueue, unlinkSemaphore, unlinkSharedMemory } from "../../src/posix/index.ts";
import { isMusl } from "../../src/sys/libc/symbols.ts";
import { programAt } from "../support/programs.ts";

const PROCESS_DIR = join(import.meta.dir, "..", "process");
const names: string[] = [];
let count = 0;

/** A name nobody else uses. A file that calls this must say `afterEach(unlinkNames)`. */
export function freshName(): string {
  count += 1;
  const name = `/shmstruct-test-${process.pid}-${count}`;
  names.push(name);
  return name;
}

/** The file that libc keeps a semaphore in: glibc puts `sem.` before the name, musl does not. */
export const semaphoreFile = (name: string): string => `/dev/shm/${isMusl() ? "" : "sem."}${name.slice(1)}`;

/** Unlinks whatever still has one of the fresh names. */
export function unlinkNames(): void {
  for (const name of names.splice(0)) {
    for (const unlink of [unlinkSharedMemory, unlinkSemaphore, unlinkMessageQueue]) {
      try {
        unlink(name);
      } catch {
        // Most tests leave nothing.
      }
    }
  }
}

/** Another Bun that runs `tests/process/<program>`. */
export const startBun = (program: string, ...args: string[]) =>
  Bun.spawn([process.execPath, programAt(join(PROCESS_DIR, program)), ...args], {
    stdout: "pipe",
    stderr: "inherit",
  });

/** The next line, which must come. */
export async function nextLine(lines: AsyncGenerator<string>): Promise<string> {
  const { value, done } = await lines.next();
  if (done) throw new Error("the process ended before it printed another line");
  return value;
}

/** The C program `posix-peer.c`, compiled once; call it with its arguments. */
export function compilePeer(): {
  run(...args: string[]): string;
  start(...args: string[]): Bun.Subprocess<"ignore", "pipe", "inherit">;
  remove(): void;
} {
  const directory = mkdtempSync(join(tmpdir(), "shmstruct-peer-"));
  const program = join(directory, "peer");
  const gcc = Bun.spawnSync([
    "gcc",
    "-Wall",
    "-o",
    program,
    join(PROCESS_DIR, "posix-peer.c"),
    "-pthread",
    "-lrt",
  ]);
  if (!gcc.success) throw new Error(gcc.stderr.toString());
  return {
    run(...args) {
      const { stdout, stderr, success } = Bun.spawnSync([program, ...args]);
      if (!success) throw new Error(stderr.toString().trim());
      return stdout.toString().trim();
    },
    start: (...args) => Bun.spawn([program, ...args], { stdin: "ignore", stdout: "pipe", stderr: "inherit" }),
    remove: () => rmSync(directory, { recursive: true }),
  };
}
