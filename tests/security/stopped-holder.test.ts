/** A process that holds the lock and was stopped: everything that waits for that lock gives up when it is told to. */
import { afterAll, afterEach, beforeAll, describe, expect, test } from "bun:test";
import { join } from "node:path";
import { Publisher, Subscriber } from "../../src/channel/index.ts";
import { openInspector } from "../../src/cli/open.ts";
import { JsonMap } from "../../src/document/index.ts";
import {
  c_int32,
  Editor,
  field,
  LockTimeoutError,
  Manager,
  MmapStructure,
  Reader,
  Struct,
} from "../../src/index.ts";
import { Queue } from "../../src/queue/index.ts";
import { temporaryDirectory } from "../support/temporary.ts";
import { hasTool } from "../support/tools.ts";

class Robot extends MmapStructure {
  @field(c_int32) n!: number;
}
class Plain extends MmapStructure {
  @field(c_int32) n!: number;
}
class Step extends Struct {
  @field(c_int32) n!: number;
}

const TIMEOUT = { timeoutMs: 60 } as const;
const scope = temporaryDirectory();
const dir = scope.path;
const at = { dir, lockDir: dir };
const document = { dir, file: "d" } as const;
const opened: Disposable[] = [];

function open<T extends Disposable>(role: T): T {
  opened.push(role);
  return role;
}

const backup = (name: string): string => join(dir, `${name}.backup`);

beforeAll(() => {
  using manager = new Manager(Robot, { ...at, create: true });
  manager.backup(backup("record"));
  using _ = new Manager(Plain, { ...at, create: true, transactional: false });
  using master = new JsonMap({ ...document, role: "master", initial: 1 });
  master.backup(backup("document"));
  using publisher = new Publisher(Step, { dir, create: true });
  publisher.send({ n: 1 });
  using subscriber = new Subscriber(Step, { dir });
  subscriber.backup(backup("channel"));
  using queue = new Queue(Step, { dir, create: true, slots: 2 });
  queue.backup(backup("queue"));
});

afterEach(() => {
  for (const role of opened.splice(0).reverse()) role[Symbol.dispose]();
});
afterAll(() => scope[Symbol.dispose]());

/** Runs `fn` while a stopped process holds the lock. */
async function whileStopped(lockFile: string, fn: () => void): Promise<void> {
  const command = ["flock", "-F", "-x", join(dir, lockFile), "sh", "-c", "echo; kill -STOP $$"];
  const holder = Bun.spawn(command, { stdout: "pipe" });
  try {
    await holder.stdout.getReader().read();
    fn();
  } finally {
    holder.kill("SIGKILL");
    await holder.exited;
  }
}

type Calls = Readonly<Record<string, () => unknown>>;

const calls: readonly [string, string, Calls][] = [
  [
    "record",
    "Robot_.lock",
    {
      "get()": () => open(new Reader(Robot, at)).get("n", TIMEOUT),
      "edit()": () => open(new Editor(Robot, at)).edit((robot) => robot.n, TIMEOUT),
      "force: true": () => open(new Manager(Robot, { ...at, create: true, force: true, ...TIMEOUT })),
      "remove()": () => open(new Manager(Robot, at)).remove(TIMEOUT),
      "restore()": () => Manager.restore(Robot, backup("record"), { ...at, ...TIMEOUT }),
    },
  ],
  [
    "record without transactions",
    "Plain_.lock",
    {
      "get()": () => open(new Reader(Plain, at)).get("n", TIMEOUT),
      "backup()": () => open(new Reader(Plain, at)).backup(backup("other"), TIMEOUT),
      "the command's backup": () =>
        open(openInspector(join(dir, "Plain_.mmap"), { timeout: "60" })).backup(backup("other")),
    },
  ],
  [
    "document",
    "d.lock",
    {
      "write()": () => open(new JsonMap({ ...document, role: "master" })).write(2, TIMEOUT),
      "force: true": () => open(new JsonMap({ ...document, role: "master", force: true, ...TIMEOUT })),
      "remove()": () => open(new JsonMap({ ...document, role: "master" })).remove(TIMEOUT),
      "restore()": () => JsonMap.restore(backup("document"), { ...document, ...TIMEOUT }),
    },
  ],
  [
    "channel",
    "Step_.channel.lock",
    {
      "new Publisher": () => open(new Publisher(Step, { dir, waitMs: 60 })),
      "force: true": () => open(new Publisher(Step, { dir, create: true, force: true, waitMs: 60 })),
      "restore()": () => Publisher.restore(Step, backup("channel"), { dir, waitMs: 60 }),
    },
  ],
  [
    "queue",
    "Step_.queue.lock",
    {
      "force: true": () => open(new Queue(Step, { dir, create: true, force: true, slots: 2, ...TIMEOUT })),
      "resize()": () => open(new Queue(Step, { dir })).resize({ slots: 4, ...TIMEOUT }),
      "remove()": () => open(new Queue(Step, { dir })).remove(TIMEOUT),
      "restore()": () => Queue.restore(Step, backup("queue"), { dir, ...TIMEOUT }),
    },
  ],
];

describe.skipIf(!hasTool("flock"))("a stopped holder of the lock of a (needs flock)", () => {
  test.each(calls)(
    "what waits for the stopped holder of the lock of a %s takes a time limit",
    async (_, lockFile, each) => {
      await whileStopped(lockFile, () => {
        for (const [name, call] of Object.entries(each))
          expect([name, thrownBy(call)]).toEqual([name, LockTimeoutError]);
      });
    },
  );

  test("opening, reading, and the jobs of a queue need no lock that a stopped process holds, with create too", async () => {
    await whileStopped("Robot_.lock", () => {
      expect(open(new Manager(Robot, { ...at, create: true })).snapshot().n).toBe(0);
    });
    await whileStopped("d.lock", () => {
      expect(open(new JsonMap({ ...document, role: "master" })).read()).toBe(1);
    });
    await whileStopped("Step_.channel.lock", () => {
      expect(open(new Subscriber(Step, { dir, from: "oldest" })).receive()?.data.n).toBe(1);
    });
    await whileStopped("Step_.queue.lock", () => {
      const queue = open(new Queue(Step, { dir, create: true, slots: 2 }));
      queue.push({ n: 1 });
      using job = queue.take();
      expect(job?.data.n).toBe(1);
      job?.done();
    });
  });
});

function thrownBy(call: () => unknown): unknown {
  try {
    return call();
  } catch (error) {
    return (error as Error).constructor;
  }
}
