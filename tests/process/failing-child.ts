/**
 * Calls of the library whose system calls strace(1) lets fail: failing-child.ts DIRECTORY ROUNDS OPERATION …
 *
 * With ROUNDS 0 each operation runs once between the marks of tests/support/system-calls.ts, after a run that has loaded all
 * code. Otherwise they run ROUNDS times one after the other, all between the marks. One JSON line for each run says what came of it.
 */
import { mkdirSync, readdirSync, rmSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { Publisher, Subscriber } from "../../src/channel/index.ts";
import { JsonMap } from "../../src/document/index.ts";
import {
  c_int32,
  chars,
  Editor,
  field,
  listSegments,
  Manager,
  MmapStructure,
  openReader,
  Reader,
  ShmError,
  Struct,
  struct,
} from "../../src/index.ts";
import { MemoryMap } from "../../src/mmap/index.ts";
import {
  MessageQueue,
  O_CREAT,
  Semaphore,
  SharedMemory,
  unlinkMessageQueue,
  unlinkSemaphore,
  unlinkSharedMemory,
} from "../../src/posix/index.ts";
import { Queue } from "../../src/queue/index.ts";
import { openIn } from "../support/resources.ts";
import { MARK } from "../support/system-calls.ts";

class Robot extends MmapStructure {
  @field(c_int32) n!: number;
  @field(chars(2000)) name!: string;
}
@struct({ name: "Robot" })
class RobotNew extends MmapStructure {
  @field(c_int32) n!: number;
  @field(c_int32) more!: number;
}
class Step extends Struct {
  @field(c_int32) n!: number;
}

const [root, rounds, ...names] = process.argv.slice(2) as [string, string, ...string[]];
const WAIT = { timeoutMs: 200 } as const;
/** Names of POSIX objects have no directory. */
const OBJECT = `/shmstruct-failing-${process.pid}`;

/** What an operation is given: where its files are, and who is open on them already. */
interface Place {
  readonly dir: string;
  readonly at: { readonly dir: string; readonly lockDir: string };
  readonly document: { readonly dir: string; readonly file: string };
  /** Closed at the end of the run. */
  open<T extends Disposable>(role: T): T;
}

interface Operation {
  /** What there is before the system calls fail. */
  readonly before?: (place: Place) => void;
  readonly run: (place: Place) => void;
}

const makeRecord = ({ at }: Place): void => {
  using manager = new Manager(Robot, { ...at, create: true, ...WAIT });
  manager.edit((robot) => {
    robot.n = 1;
  });
  manager.backup(join(at.dir, "copy"));
};
const makeDocument = ({ dir, document }: Place): void => {
  using map = new JsonMap<object>({ ...document, role: "master", maxBytes: 100, ...WAIT });
  map.write({ v: 1 });
  map.backup(join(dir, "copy"));
};
const makeChannel = ({ dir }: Place): void => {
  using publisher = new Publisher(Step, { dir, create: true, slots: 4 });
  publisher.send({ n: 1 });
  using subscriber = new Subscriber(Step, { dir });
  subscriber.backup(join(dir, "copy"));
};
const makeQueue = ({ dir }: Place): void => {
  using queue = new Queue(Step, { dir, create: true, slots: 4, maxAttempts: 1 });
  queue.push({ n: 1 });
  queue.backup(join(dir, "copy"));
};
const makeBytes = ({ dir }: Place): void => writeFileSync(join(dir, "bytes"), new Uint8Array(10_000).fill(7));

const OPERATIONS: Readonly<Record<string, Operation>> = {
  // records
  create: { run: ({ at, open }) => void open(new Manager(Robot, { ...at, create: true, ...WAIT })) },
  createFcntl: {
    run: ({ at, open }) => void open(new Manager(Robot, { ...at, create: true, lock: "fcntl", ...WAIT })),
  },
  force: {
    before: makeRecord,
    run: ({ at, open }) => void open(new Manager(Robot, { ...at, create: true, force: true, ...WAIT })),
  },
  read: {
    before: makeRecord,
    run: ({ at, open }) => {
      const reader = open(new Reader(Robot, at));
      reader.get("n", WAIT);
      reader.snapshot();
      reader.live.n;
      reader.version;
      reader.waitForChange({ timeoutMs: 1 });
    },
  },
  edit: {
    before: makeRecord,
    run: ({ at, open }) => {
      const editor = open(new Editor(Robot, at));
      editor.edit((robot) => {
        robot.n++;
      }, WAIT);
      using session = editor.lock(WAIT);
      session.data.n++;
      session.rollback();
      editor.set("n", 3, WAIT);
      editor.flush();
    },
  },
  openReader: {
    before: makeRecord,
    run: ({ at, open }) => void open(openReader(join(at.dir, "Robot_.mmap"))).snapshot(),
  },
  info: {
    before: makeRecord,
    run: ({ at, open }) => {
      open(new Reader(Robot, at)).info();
      listSegments(at.dir);
    },
  },
  backup: {
    before: makeRecord,
    run: ({ at, open }) => void open(new Reader(Robot, at)).backup(join(at.dir, "copy")),
  },
  restore: {
    before: makeRecord,
    run: ({ at }) => Manager.restore(Robot, join(at.dir, "copy"), { ...at, ...WAIT }),
  },
  migrate: {
    before: makeRecord,
    run: ({ at, open }) =>
      void open(new Manager(RobotNew, { ...at, create: true, migrate: () => {}, ...WAIT })),
  },
  remove: {
    before: makeRecord,
    run: ({ at, open }) => open(new Manager(Robot, at)).remove({ ...WAIT, purge: true }),
  },
  // documents
  documentCreate: {
    run: ({ document, open }) => void open(new JsonMap({ ...document, role: "master", initial: 1, ...WAIT })),
  },
  documentForce: {
    before: makeDocument,
    run: ({ document, open }) =>
      void open(new JsonMap({ ...document, role: "master", force: true, ...WAIT })),
  },
  documentRead: {
    before: makeDocument,
    run: ({ document, open }) => {
      const follower = open(new JsonMap({ ...document, role: "follower" }));
      follower.read();
      follower.version;
    },
  },
  documentWrite: {
    before: makeDocument,
    run: ({ document, open }) => {
      const master = open(new JsonMap<object>({ ...document, role: "master", grow: true, ...WAIT }));
      master.write({ v: 2 }, WAIT);
      master.update((value) => ({ ...value, w: 1 }), WAIT);
      master.write({ long: "x".repeat(500) }, WAIT);
      master.flush();
    },
  },
  documentRestore: {
    before: makeDocument,
    run: ({ dir, document }) => JsonMap.restore(join(dir, "copy"), { ...document, ...WAIT }),
  },
  documentRemove: {
    before: makeDocument,
    run: ({ document, open }) => open(new JsonMap({ ...document, role: "master", ...WAIT })).remove(WAIT),
  },
  // channels
  channelCreate: {
    run: ({ dir, open }) => void open(new Publisher(Step, { dir, create: true, waitMs: 200 })),
  },
  channelSend: {
    before: makeChannel,
    run: ({ dir, open }) => {
      const publisher = open(new Publisher(Step, { dir, waitMs: 200 }));
      const subscriber = open(new Subscriber(Step, { dir, from: "oldest" }));
      publisher.send({ n: 2 });
      using loan = publisher.loan();
      loan.data.n = 3;
      loan.send();
      while (subscriber.receive() !== undefined);
    },
  },
  channelRestore: {
    before: makeChannel,
    run: ({ dir }) => Publisher.restore(Step, join(dir, "copy"), { dir, waitMs: 200 }),
  },
  channelRemove: {
    before: makeChannel,
    run: ({ dir, open }) => open(new Publisher(Step, { dir, waitMs: 200 })).remove(WAIT),
  },
  // queues
  queueCreate: {
    run: ({ dir, open }) => void open(new Queue(Step, { dir, create: true, slots: 4, ...WAIT })),
  },
  queueWork: {
    before: makeQueue,
    run: ({ dir, open }) => {
      const queue = open(new Queue(Step, { dir, ...WAIT }));
      queue.push({ n: 2 }, WAIT);
      using job = queue.take(WAIT);
      job?.data.n;
      job?.done();
      queue.take({ timeoutMs: 1 })?.fail("no");
      queue.tryTake();
      queue.take({ timeoutMs: 1 });
      queue.owners();
    },
  },
  queueInHand: { before: makeQueue, run: ({ dir, open }) => void open(new Queue(Step, { dir })).tryTake() },
  queueResize: {
    before: makeQueue,
    run: ({ dir, open }) => open(new Queue(Step, { dir })).resize({ slots: 8, ...WAIT }),
  },
  queueRestore: {
    before: makeQueue,
    run: ({ dir }) => Queue.restore(Step, join(dir, "copy"), { dir, ...WAIT }),
  },
  queueRemove: { before: makeQueue, run: ({ dir, open }) => open(new Queue(Step, { dir })).remove(WAIT) },
  // memory maps
  map: {
    before: makeBytes,
    run: ({ dir, open }) => {
      const map = open(new MemoryMap(join(dir, "bytes"), 0));
      map.text(0, 8);
      map.flush();
      map.resize(20_000);
      map.resize(3000);
      map.size();
    },
  },
  mapAnonymous: { run: ({ open }) => void open(new MemoryMap(-1, 8192)).resize(20_000) },
  mapTag: {
    run: ({ open }) => {
      open(new MemoryMap(-1, 4096, { tagName: OBJECT.slice(1) }));
      MemoryMap.removeTag(OBJECT.slice(1));
    },
  },
  // POSIX objects
  sharedMemory: {
    run: ({ open }) => {
      const memory = open(new SharedMemory({ name: OBJECT, flags: O_CREAT, size: 4096 }));
      memory.viewOf(Step).n = 1;
      open(memory.map()).text(0, 1);
      unlinkSharedMemory(OBJECT);
    },
  },
  semaphore: {
    run: ({ open }) => {
      const semaphore = open(new Semaphore({ name: OBJECT, flags: O_CREAT, initialValue: 1 }));
      semaphore.acquire(200);
      semaphore.release();
      unlinkSemaphore(OBJECT);
    },
  },
  messageQueue: {
    run: ({ open }) => {
      const queue = open(
        new MessageQueue({ name: OBJECT, flags: O_CREAT, maxMessages: 2, maxMessageSize: 8 }),
      );
      queue.send("a", { timeoutMs: 200 });
      queue.receive({ timeoutMs: 200 });
      unlinkMessageQueue(OBJECT);
    },
  },
};

const mark = (name: string): void => void statSync(name, { throwIfNoEntry: false });

/** The name of the error's class; "?" and all of it when it is none of the library's. */
function nameOf(error: unknown): string {
  // A scope that is left by an error, and cannot be ended.
  if (error instanceof SuppressedError && error.suppressed instanceof ShmError) return nameOf(error.error);
  return error instanceof ShmError ? `${error.name} ${error.code}` : `? ${(error as Error)?.stack ?? error}`;
}

function attempt(call: () => void): string {
  try {
    call();
    return "ok";
  } catch (error) {
    return nameOf(error);
  }
}

/** Runs an operation in an empty directory. @returns what came of it, and of the next one of the same kind */
function runOnce(name: string, dir: string, isMarked: boolean): object {
  const { before, run } = OPERATIONS[name]!;
  const opened: Disposable[] = [];
  const open = <T extends Disposable>(role: T): T => {
    opened.push(role);
    return role;
  };
  const place: Place = { dir, at: { dir, lockDir: dir }, document: { dir, file: "d" }, open };
  rmSync(dir, { recursive: true, force: true });
  mkdirSync(dir, { recursive: true });
  // In rounds this may fail, too.
  const prepared = attempt(() => before?.(place));
  const startedAt = performance.now();
  if (isMarked) mark(MARK.begin);
  const first = attempt(() => run(place));
  const closes = opened.reverse().map((role) => attempt(() => role[Symbol.dispose]()));
  if (isMarked) mark(MARK.end);
  const ms = Math.round(performance.now() - startedAt);
  opened.length = 0;
  const second = isMarked ? attempt(() => runAgain(name, place)) : "ok";
  for (const role of opened.reverse()) role[Symbol.dispose]();
  const left = readdirSync(dir).filter((file) => file.includes(".new-"));
  return { name, prepared, first, closes, ms, second, open: openIn(dir).concat(openIn(OBJECT)), left };
}

/** Nothing fails any more: what was left is swept. */
function runAgain(name: string, place: Place): void {
  const { before, run } = OPERATIONS[name]!;
  for (const file of readdirSync(place.dir).filter(
    (file) => !/\.(lock|lockfile|lock-page|owners)$|\.new-/.test(file),
  ))
    rmSync(join(place.dir, file));
  before?.(place);
  run(place);
}

const chosen = names.length > 0 ? names : Object.keys(OPERATIONS);
if (names[0] === "list") console.log(Object.keys(OPERATIONS).join(" "));
else {
  const dir = join(root, "place");
  if (rounds === "0") {
    for (const name of chosen) runOnce(name, join(root, "warm"), false);
    for (const name of chosen) console.log(JSON.stringify(runOnce(name, dir, true)));
  } else {
    mark(MARK.begin);
    for (let round = 0; round < Number(rounds); round++)
      for (const name of chosen) console.log(JSON.stringify(runOnce(name, dir, false)));
    mark(MARK.end);
  }
}
process.exit(0);
