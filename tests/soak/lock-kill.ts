/**
 * Locks under kill -9: eight processes take and release one lock in every way there is, and are killed and replaced at
 * random instants; a writer must be alone, a reader must see no writer, and nobody may get stuck.
 *
 *   bun tests/soak/lock-kill.ts [kills] [flock|fcntl]
 */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { LockKind, LockMode } from "../../src/sync/file-lock.ts";
import { RwLock } from "../../src/sync/rw-lock.ts";
import { sharedWords } from "../process/lock-child.ts";

/** Shared words: who writes, how often somebody was not alone, and how often the lock was taken. */
const OWNER = 0;
const VIOLATIONS = 1;
const TAKEN = 2;

async function take(lock: RwLock, mode: LockMode): Promise<boolean> {
  const way = Math.random();
  if (way < 0.4) lock.acquire(mode);
  else if (way < 0.5) return lock.tryAcquire(mode);
  else if (way < 0.6) await lock.acquireAsync(mode);
  else if (way < 0.8) return takeInTime(() => lock.acquire(mode, { timeoutMs: Math.random() * 5 }));
  else {
    const signal = AbortSignal.timeout(Math.random() * 8);
    return takeInTime(() => lock.acquireAsync(mode, { signal, timeoutMs: Math.random() * 10 }));
  }
  return true;
}

async function takeInTime(wait: () => void | Promise<void>): Promise<boolean> {
  try {
    await wait();
    return true;
  } catch (error) {
    if (
      error instanceof Error &&
      /LOCK_TIMEOUT|TimeoutError/.test(`${error.name} ${"code" in error && error.code}`)
    ) {
      return false;
    }
    throw error;
  }
}

/** Holds the lock for a moment and looks whether the rules are kept. */
function check(words: Int32Array, mode: LockMode): void {
  const me = mode === "exclusive" ? process.pid : Atomics.load(words, OWNER);
  if (mode === "exclusive") Atomics.store(words, OWNER, me);
  for (let look = Math.random() * 3000; look > 0; look--) {
    if (Atomics.load(words, OWNER) === me) continue;
    Atomics.add(words, VIOLATIONS, 1);
    return;
  }
}

async function child(path: string, kind: LockKind, words: Int32Array): Promise<void> {
  const locks = [new RwLock({ path, kind }), new RwLock({ path, kind })];
  for (let round = 0; ; round++) {
    const lock = locks[round & 1]!;
    const mode = Math.random() < 0.5 ? "shared" : "exclusive";
    if (!(await take(lock, mode))) continue;
    check(words, mode);
    Atomics.add(words, TAKEN, 1);
    lock.release();
  }
}

async function soak(kills: number, kind: LockKind): Promise<void> {
  const dir = mkdtempSync(join(tmpdir(), "lock-kill-"));
  const [path, shared] = [join(dir, "x.lock"), join(dir, "words")];
  writeFileSync(shared, new Uint8Array(4096));
  const words = sharedWords(shared);
  using lock = new RwLock({ path, kind, create: true });
  const spawn = () =>
    Bun.spawn([process.execPath, import.meta.path, "child", path, kind, shared], { stderr: "inherit" });
  const children = Array.from({ length: 8 }, spawn);
  await Bun.sleep(500);
  for (let kill = 1; kill <= kills; kill++) {
    const before = Atomics.load(words, TAKEN);
    await Bun.sleep(Math.random() * 40);
    const at = Math.floor(Math.random() * children.length);
    if (children[at]!.exitCode !== null)
      throw new Error(`a process ended by itself, with ${children[at]!.exitCode}`);
    children[at]!.kill("SIGKILL");
    await children[at]!.exited;
    for (let turn = 0; Atomics.load(words, TAKEN) === before; turn++) {
      if (turn === 1000) throw new Error(`stuck:\n${readFileSync("/proc/locks", "latin1")}`);
      await Bun.sleep(10);
    }
    children[at] = spawn();
    if (kill % 500 === 0) console.log(`${kind}: ${kill} kills, ${Atomics.load(words, TAKEN)} locks taken`);
  }
  for (const running of children) running.kill("SIGKILL");
  await Promise.all(children.map((running) => running.exited));
  lock.acquire("exclusive", { timeoutMs: 10_000 });
  const violations = Atomics.load(words, VIOLATIONS);
  console.log(`${kind}: ${kills} kills, ${Atomics.load(words, TAKEN)} locks taken, ${violations} violations`);
  rmSync(dir, { recursive: true });
  if (violations > 0) process.exitCode = 1;
}

const [, , first = "300", ...rest] = process.argv as string[];
if (first === "child") await child(rest[0]!, rest[1] as LockKind, sharedWords(rest[2]!));
else
  for (const kind of rest.length > 0 ? (rest as LockKind[]) : (["flock", "fcntl"] as const))
    await soak(Number(first), kind);
