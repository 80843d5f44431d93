/**
 * A process that uses a lock, steered by its arguments:
 *
 *   hold <kind> <path> <mode>                      takes it, prints "held", keeps it until stdin ends
 *   count <kind> <path> <shared file> <rounds>     locked increments of word 0
 *   churn <kind> <path> <shared file> <mode> <holdMs> [timeoutMs | async]   takes and releases until STOP is set
 *   crowd <kind> <path> <shared file> <mode> <holdMs>   the same from four asynchronous tasks, so that their holds overlap
 *   stall <kind> <path> <mode> <ms>                waits for it asynchronously, blocks its own thread for so long, ends
 *
 * Words of the shared file (int32): see WORD.
 */
import { fstatSync } from "node:fs";
import type { LockKind, LockMode } from "../../src/sync/file-lock.ts";
import { RwLock } from "../../src/sync/rw-lock.ts";
import { openFile } from "../../src/sys/file.ts";
import { Mapping } from "../../src/sys/mapping.ts";

export const WORD = { counter: 0, ready: 1, stop: 2, waiting: 3, holdsMeanwhile: 4, words: 16 } as const;

/** Maps the shared words; the file is made by the test. */
export function sharedWords(path: string): Int32Array<ArrayBuffer> {
  const fd = openFile(path, 2);
  return new Int32Array(Mapping.map(fd, { byteLength: fstatSync(fd).size, path }).buffer);
}

function hold(lock: RwLock, mode: LockMode): void {
  lock.acquire(mode);
  console.log("held");
  process.stdin.on("end", () => process.exit(0)).resume();
}

function count(lock: RwLock, words: Int32Array, rounds: number): void {
  for (let round = 0; round < rounds; round++) {
    lock.acquire("exclusive");
    words[WORD.counter]! += 1;
    lock.release();
  }
}

/** Holds the lock over and over, and counts the holds that begin while the test's own process waits. */
async function churn(
  lock: RwLock,
  words: Int32Array,
  mode: LockMode,
  holdMs: number,
  wait = "",
): Promise<void> {
  Atomics.add(words, WORD.ready, 1);
  while (Atomics.load(words, WORD.stop) === 0) {
    if (wait === "async") await lock.acquireAsync(mode);
    else lock.acquire(mode, wait === "" ? undefined : { timeoutMs: Number(wait) });
    if (Atomics.load(words, WORD.waiting) !== 0) Atomics.add(words, WORD.holdsMeanwhile, 1);
    if (wait === "async") await Bun.sleep(holdMs);
    else if (holdMs > 0) Bun.sleepSync(holdMs);
    lock.release();
  }
}

async function crowd(lock: RwLock, words: Int32Array, mode: LockMode, holdMs: number): Promise<void> {
  const locks = [lock, ...Array.from({ length: 3 }, () => new RwLock({ path: lock.path, kind: lock.kind }))];
  await Promise.all(locks.map((each) => churn(each, words, mode, holdMs, "async")));
}

async function stall(lock: RwLock, mode: LockMode, ms: number): Promise<void> {
  void lock.acquireAsync(mode);
  await Bun.sleep(20);
  console.log("waits");
  Bun.sleepSync(ms);
  process.exit(0);
}

/** No await at the top: it is compiled in advance. */
async function main(): Promise<void> {
  const [, , action, kind, path, ...rest] = process.argv as string[];
  const lock = new RwLock({ path: path!, kind: kind as LockKind });
  if (action === "hold") hold(lock, rest[0] as LockMode);
  if (action === "count") count(lock, sharedWords(rest[0]!), Number(rest[1]));
  if (action === "stall") await stall(lock, rest[0] as LockMode, Number(rest[1]));
  if (action === "crowd") await crowd(lock, sharedWords(rest[0]!), rest[1] as LockMode, Number(rest[2]));
  if (action === "churn") {
    await churn(lock, sharedWords(rest[0]!), rest[1] as LockMode, Number(rest[2]), rest[3]);
  }
}

if (import.meta.main) void main();
