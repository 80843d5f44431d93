/**
 * The other processes of the conformance suite: `conformance-child.ts <content> <action> <directory> …`. What an action
 * prints is what the row waits for.
 */
import { readSync, statSync } from "node:fs";
import { LockTimeoutError } from "../../src/index.ts";
import { RwLock } from "../../src/sync/rw-lock.ts";
import { contentNamed } from "../conformance/contents.ts";
import { MARK } from "../support/system-calls.ts";

const [name, action = "", dir = "", ...args] = process.argv.slice(2);
const content = contentNamed(name);
const options = { shared: args.includes("shared") };

/** Blocks until the row says something. */
function awaitRow(): void {
  readSync(0, new Uint8Array(100));
}

/** Makes the file with others, and counts up. */
function create(): void {
  const force = args[1] === "force";
  for (let i = 0; i < Number(args[0]); i++) {
    using writer = content.create(dir, { force });
    using reader = content.openReader(dir);
    reader.newest();
    writer.advance();
  }
}

/** Counts up until it is killed. */
function churn(): void {
  using writer = content.openWriter(dir);
  console.log("ready");
  for (;;) {
    writer.advance();
    // Where no lock slows it down, it fills the file.
    if (content.isLockFree) Bun.sleepSync(0.1);
  }
}

/** Makes, replaces and removes the file until it is killed. */
function replace(): void {
  console.log("ready");
  for (let turn = 0; ; turn++) {
    using writer = content.create(dir, { force: turn % 3 !== 0 });
    writer.commit(turn + 1);
    if (turn % 4 === 3) writer.remove();
  }
}

/** Holds the lock until it is told to go on. */
function hold(): void {
  using writer = content.openWriter(dir);
  writer.hold(() => {
    console.log("held");
    awaitRow();
  });
  console.log("released");
}

/** Holds the lock of those who create, replace and remove the file. */
function holdLockFile(): void {
  using lock = new RwLock({ path: `${dir}/${content.lockFile}` });
  lock.acquire("exclusive");
  console.log("held");
  awaitRow();
}

/** The same with lock files of its own, where they were deleted. */
function createAndHold(): void {
  using _creator = content.create(dir);
  hold();
}

/** One operation between two marks, to be killed at each of its system calls. */
function traced(): void {
  const operation = args[0];
  const writer = operation === "commit" || operation === "remove" ? content.openWriter(dir) : undefined;
  const operations: Record<string, () => unknown> = {
    create: () => content.create(dir),
    force: () => content.create(dir, { force: true }),
    commit: () => writer?.commit(2),
    remove: () => writer?.remove(),
  };
  statSync(MARK.begin, { throwIfNoEntry: false });
  operations[operation ?? ""]?.();
  statSync(MARK.end, { throwIfNoEntry: false });
  process.exit(0);
}

/** How long a wait takes that ends by its limit, in milliseconds. */
function timed(): void {
  using writer = content.openWriter(dir);
  writer.peek();
  console.log("waiting");
  const began = Bun.nanoseconds();
  try {
    writer.commit(1, { timeoutMs: Number(args[0]) });
    console.log("no limit");
  } catch (error) {
    console.log(error instanceof LockTimeoutError ? (Bun.nanoseconds() - began) / 1e6 : String(error));
  }
}

/** Ends in the middle of a write, in one way or another. */
function endInside(): void {
  const ways: Record<string, () => void> = {
    exit: () => process.exit(7),
    kill: () => process.kill(process.pid, "SIGKILL"),
    throw: () => {
      throw new Error("in the middle");
    },
  };
  using writer = content.openWriter(dir);
  writer.hold(ways[args[0] ?? ""] as () => void);
}

/** Opens what is there and writes once. */
function commit(): void {
  using writer = content.openWriter(dir);
  writer.commit(Number(args[0]));
  console.log(`committed ${writer.newest()}`);
}

/** Says what comes of something, in one line. */
function say(attempt: () => string): void {
  try {
    console.log(attempt());
  } catch (error) {
    const { name, code, message } = error as Error & { code?: string };
    console.log(`${name} ${code} ${message}`);
  }
}

function look(): void {
  say(() => {
    using reader = content.openReader(dir, options);
    return `state ${reader.newest()}`;
  });
}

function attempt(): void {
  say(() => {
    using writer = content.openWriter(dir, options);
    writer.commit(Number(args[0]));
    return `committed ${writer.newest()}`;
  });
}

/** Makes files, and uses them, with a umask that grants all or nothing. */
function createWith(): void {
  process.umask(Number(args[0]));
  say(() => {
    using elsewhere = content.create(`${dir}/new/directories`);
    elsewhere.commit(1);
    using first = content.create(dir, { mode: 0o660, ...options });
    first.commit(4);
    using second = content.create(dir, { mode: 0o660, ...options });
    second.advance();
    using reader = content.openReader(dir, options);
    return `state ${reader.newest()}`;
  });
}

const actions: Record<string, () => void> = {
  create,
  churn,
  replace,
  hold,
  holdLockFile,
  endInside,
  commit,
  look,
  attempt,
  createWith,
  createAndHold,
  timed,
  traced,
};
actions[action]?.();
