/**
 * Programs of the conformance suite that strain their own process: `conformance-strain.ts <content> <action> <directory> …`.
 * They print what they found, and end with an exit code other than 0 when that is wrong.
 */
import {
  closeSync,
  openSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  truncateSync,
  writeSync,
} from "node:fs";
import { join } from "node:path";
import { FileFormatError, ShmError } from "../../src/index.ts";
import { fileLock } from "../../src/sync/file-lock.ts";
import { type ContentUnderTest, contentNamed } from "../conformance/contents.ts";
import { randomFrom } from "../support/random.ts";

const LOCK_PAGE_BYTES = 4096;

const [name, action = "", dir = "", ...args] = process.argv.slice(2);
const content = contentNamed(name);

const say = (text: string): void => void process.stdout.write(`${text}\n`);

function fail(what: string): never {
  say(`FAILED: ${what}`);
  process.exit(1);
}

function check(isSo: boolean, what: string): void {
  if (!isSo) fail(what);
}

/** The code of the library's error that `call` throws. */
function codeOf(call: () => unknown): string {
  try {
    call();
    return "nothing";
  } catch (error) {
    if (error instanceof ShmError) return error.code;
    // A damaged size of the payloads: the message that was right before is an argument that does not fit now.
    if (error instanceof RangeError && error.message.includes("of at most")) return "DOES_NOT_FIT";
    return fail(`${String(error)} ${(error as Error).stack}`);
  }
}

/** Also where the end of a scope overflows as well. */
const isOverflow = (error: unknown): boolean =>
  error instanceof RangeError ||
  (error instanceof SuppressedError && isOverflow(error.error) && isOverflow(error.suppressed));

/**
 * Overflows the stack inside the library: calls `act` on the way back from the deepest call, at every depth near the
 * edge. @returns how often it overflowed inside
 */
function overflow(act: () => void, pad: readonly number[]): number {
  let left = 60;
  let inside = 0;
  let other: unknown;
  const tryOnce = (): void => {
    left--;
    try {
      act();
    } catch (error) {
      // Told later: at this depth there is no room for that.
      if (isOverflow(error)) inside++;
      else other ??= error;
    }
  };
  const dive = (depth: number, ...rest: readonly number[]): void => {
    try {
      if (rest.length > 0) dive(depth, ...rest.slice(1));
      else dive(depth + 1);
    } catch (error) {
      if (left > 0) tryOnce();
      throw error;
    }
  };
  try {
    dive(0, ...pad);
  } catch (error) {
    if (!isOverflow(error)) other ??= error;
  }
  if (other !== undefined) fail(`${String(other)} ${(other as Error).stack}`);
  return inside;
}

function stack(): void {
  using writer = content.create(dir);
  using reader = content.openReader(dir);
  using other = content.openWriter(dir);
  const acts: Record<string, () => unknown> = {
    commit: () => writer.commit(3),
    advance: () => writer.advance(),
    hold: () => writer.hold(() => {}),
    newest: () => reader.newest(),
    peek: () => reader.peek(),
    version: () => reader.version,
    holdOpen: () => writer.holdOpen?.().release(),
  };
  let overflows = 0;
  for (const [what, act] of Object.entries(acts))
    for (let pad = 0; pad < Number(args[0]); pad++) {
      overflows += overflow(act, Array(pad % 37).fill(1));
      const before = reader.newest({ timeoutMs: 0 });
      writer.advance({ timeoutMs: 0 });
      other.advance({ timeoutMs: 0 });
      check(reader.newest() === (before as number) + 2, `${what}: a commit was lost`);
      check(reader.peek() === reader.newest(), `${what}: what is seen without the lock`);
    }
  say(`overflows ${overflows > 100 ? "enough" : overflows}`);
}

/**
 * The control of `stack`: a writer that takes the kernel's lock and notes that only when it has it, as one does who has not
 * thought of full stacks. Its lock stays held, by no session.
 */
function stackControl(): void {
  content.create(dir).close();
  const path = `${dir}/control`;
  const flockOf = () => fileLock("flock", openSync(path, "a"), path);
  const [lock, other] = [flockOf(), flockOf()];
  let isHeld = false;
  let isInterrupted = false;
  // A session is made by some calls, which need more of the stack than the system call does.
  const note = (value: boolean, calls = 40): boolean => (calls === 0 ? value : !note(!value, calls - 1));
  const commit = (): void => {
    if (isInterrupted) return;
    lock.tryLock("exclusive");
    isInterrupted = true;
    isHeld = note(true);
    lock.unlock();
    isHeld = note(false);
    isInterrupted = false;
  };
  let isLeft = false;
  for (let pad = 0; pad < Number(args[0]) && !isLeft; pad++) {
    overflow(commit, Array(pad % 37).fill(1));
    isLeft = !isHeld && !other.tryLock("exclusive");
  }
  say(isLeft ? "left locked" : "always free");
}

/** At the limit of descriptors: only SystemErrors, nothing leaks, changes are told without a thread. */
async function descriptors(): Promise<void> {
  content.create(dir).close();
  const fillers = exhaust();
  for (const open of [content.create, content.openWriter, content.openReader])
    check(codeOf(() => open(dir)) === "EMFILE", "an error that is not EMFILE");
  for (const fd of fillers.splice(-16)) closeSync(fd);
  using writer = content.openWriter(dir);
  using reader = content.openReader(dir);
  writer.keepOpen?.();
  const turn = reader.changes().next();
  fillers.push(...exhaust());
  await Bun.sleep(10);
  writer.advance();
  await turn;
  check(reader.peek() === 1, "the commit is not seen");
  // Looks at the disk, for which some contents open a file.
  check(["EMFILE", "nothing"].includes(codeOf(() => check(reader.newest() === 1, "the newest"))), "a look");
  check(["EMFILE", "nothing"].includes(codeOf(() => writer.advance({ timeoutMs: 0 }))), "a write");
  for (const fd of fillers) closeSync(fd);
  for (let i = 0; i < 100; i++) content.openReader(dir).close();
  say("done");
  process.exit(0);
}

function exhaust(): number[] {
  const fds: number[] = [];
  try {
    for (;;) fds.push(openSync("/dev/null", "r"));
  } catch {
    return fds;
  }
}

/** On a disk of 1 MiB. */
function fullDisk(): void {
  check(codeOf(() => content.create(dir, { large: true })) === "ENOSPC", "a file larger than the disk");
  check(!readdirSync(dir).some((file) => file.includes(".new-")), "a file is left");
  using writer = content.create(dir);
  using reader = content.openReader(dir);
  fill(join(dir, "filler"));
  // It has its storage.
  for (let i = 0; i < 100; i++) writer.advance();
  check(codeOf(() => content.create(dir, { force: true })) === "ENOSPC", "a replacement on a full disk");
  check(reader.newest() === 100, "the old content");
  writer.advance();
  check(reader.newest() === 101 && reader.peek() === 101, "the next commit");
  say("done");
}

function fill(path: string): void {
  const fd = openSync(path, "w");
  for (let size = 65_536; size >= 1; size = Math.floor(size / 2))
    try {
      for (;;) writeSync(fd, new Uint8Array(size));
    } catch {}
  closeSync(fd);
}

/** A reader that opened the file in a lower layer before its first writer. */
async function overlay(): Promise<void> {
  using reader = content.openReader(dir);
  check(reader.peek() === 1 && reader.newest() === 1, "the file of the lower layer");
  const turn = reader.changes().next();
  const program = join(import.meta.dir, "conformance-child.ts");
  const child = Bun.spawn([process.execPath, program, content.name, "commit", dir, "5"], {
    stdout: "ignore",
  });
  check((await child.exited) === 0, "the writer");
  await Bun.sleep(150);
  check(reader.newest() === 5, `the reader still sees ${reader.newest()}`);
  await turn;
  check(reader.peek() === 5, "without the lock");
  say("done");
  process.exit(0);
}

/** Two copies of the library in one thread: a wait for oneself would never end. */
async function twoCopies(): Promise<void> {
  const copy = (await import(args[0] as string)) as { contentNamed(name: string): ContentUnderTest };
  using mine = content.create(dir);
  using theirs = copy.contentNamed(content.name).openWriter(dir);
  for (const [holder, waiter] of [
    [mine, theirs],
    [theirs, mine],
  ] as const) {
    let found = "nothing";
    holder.hold(() => {
      try {
        waiter.commit(3);
      } catch (error) {
        found = (error as Error).name;
      }
    });
    check(found === "DeadlockError", `inside the other's write: ${found}`);
    waiter.advance();
  }
  say(`state ${mine.newest()}`);
}

const random = randomFrom(Number(args[1] ?? 1));

/** Values that hurt: nothing, everything, signs, neighbours of the present one. */
const word = (now: number): number =>
  random.pick([
    0,
    1,
    -1,
    2 ** 31 - 1,
    -(2 ** 31),
    now + 1,
    now - 1,
    now ^ (1 << random.whole(0, 31)),
    random.whole(0, 2 ** 31),
  ]) | 0;

/** Overwrites some words of a file in place: of a footer, of the header before the content, of a lock page. */
function tamper(path: string): void {
  const { size } = statSync(path);
  const headerWords = path.endsWith("-page") ? 48 : 4;
  const fd = openSync(path, "r+");
  for (let n = random.whole(1, 3); n > 0 && size >= 256; n--) {
    const at =
      4 * (random.oneIn(3) ? random.whole(0, headerWords - 1) : Math.floor(size / 4) - random.whole(1, 32));
    const now = new DataView(readFileSync(path).buffer).getInt32(at, true);
    writeSync(fd, Int32Array.of(word(now)), 0, 4, at);
  }
  closeSync(fd);
}

/** Another length; only of files that no process has mapped. */
function resize(path: string): void {
  const { size } = statSync(path);
  truncateSync(
    path,
    random.pick([0, random.whole(1, size), size - 64, size + random.whole(1, 4096), size + 64]),
  );
}

const files = (): string[] =>
  [content.file, content.lockFile, `${content.lockFile}-page`].map((file) => join(dir, file));

const outcomes: Record<string, number> = {};
const wait = { timeoutMs: 40 };

/** Only the library's errors, and no wait beyond its limit. */
function attempt(call: () => unknown): void {
  const began = performance.now();
  const code = codeOf(call);
  outcomes[code] = (outcomes[code] ?? 0) + 1;
  const took = performance.now() - began;
  check(took < 20_000, `it took ${took} ms`);
}

function useAll(): void {
  attempt(() => {
    using reader = content.openReader(dir);
    attempt(() => reader.newest(wait));
    attempt(() => reader.version);
    attempt(() => reader.peek());
  });
  attempt(() => {
    using writer = content.openWriter(dir);
    attempt(() => writer.commit(3, wait));
    attempt(() => writer.newest(wait));
  });
  attempt(() => content.create(dir, wait).close());
}

/** However damaged, force makes it whole; at most it says which file is to be deleted, as it cannot know whose it is. */
function recover(): void {
  try {
    content.create(dir, { force: true, timeoutMs: 20_000 }).close();
  } catch (error) {
    if (!(error instanceof FileFormatError && /\b(?:delete|remove) it\b/.test(error.message))) throw error;
    // A damaged lock page is no reason to refuse, unless it also has more bytes than a page: it may be somebody's file.
    const path = error.path ?? "";
    check(path === join(dir, content.file) || statSync(path).size > LOCK_PAGE_BYTES, error.message);
    rmSync(path);
  }
  using writer = content.create(dir, { force: true, timeoutMs: 20_000 });
  check(writer.newest(wait) === 0, "not new after force");
  writer.commit(1, wait);
}

function tamperBefore(): void {
  content.create(dir).close();
  for (let round = 0; round < Number(args[0]); round++) {
    const path = random.pick(files());
    if (random.oneIn(4)) resize(path);
    else tamper(path);
    useAll();
    recover();
  }
  say(`done ${JSON.stringify(outcomes)}`);
}

function tamperInUse(): void {
  for (let round = 0; round < Number(args[0]); round++) {
    recover();
    using creator = content.create(dir, wait);
    using reader = content.openReader(dir);
    using writer = content.openWriter(dir);
    creator.commit(1, wait);
    for (let n = 0; n < 3; n++) {
      tamper(random.pick(files()));
      attempt(() => reader.peek());
      attempt(() => reader.version);
      attempt(() => reader.newest(wait));
      attempt(() => writer.commit(2, wait));
      attempt(() => creator.advance(wait));
      useAll();
    }
  }
  recover();
  say(`done ${JSON.stringify(outcomes)}`);
}

const actions: Record<string, () => void | Promise<void>> = {
  stack,
  stackControl,
  descriptors,
  fullDisk,
  overlay,
  twoCopies,
  tamperBefore,
  tamperInUse,
};
await actions[action]?.();
