/**
 * The participant of tests/conformance/languages.test.ts in JavaScript, for Bun and for Node.js: reads lines `COMMAND KIND DIRECTORY`,
 * and answers each by one. A state is a number: of a record and a document what it counts, of a channel its messages, of a
 * queue its jobs.
 */
import { createInterface } from "node:readline";

const COPIES = 40;
const WAIT_MS = 100_000;
const WORDS = {
  FileMissingError: "missing",
  FileFormatError: "damaged",
  LockTimeoutError: "timeout",
  LayoutMismatchError: "layout",
};

const say = (line) => console.log(line);
const documentOf = (n) => ({ n, copies: Array.from({ length: COPIES }, () => n) });
const itemOf = (number) => ({
  number: BigInt(number),
  values: Array.from({ length: 15 }, () => BigInt(number)),
});
const isItem = ({ number, values }) => values.every((value) => value === number);

function fill(data, count) {
  data.count = count;
  data.values.fill(count);
}

/** A job of a file that another one has taken the place of is gone. */
function giveBack(job) {
  try {
    job.release();
  } catch (error) {
    if (error.name !== "LeaseLostError") throw error;
  }
}

/** @throws Error for a mix of states */
function counted({ count, values }) {
  for (const value of values) if (value !== count) throw new Error("torn");
  return Number(count);
}

/** What there is to do with each content, by the library's names. */
function contentsOf({ Manager, Editor, JsonMap, Subscriber, Publisher, Queue, Ledger, Item }) {
  return {
    record: {
      open: (dir) => new Editor(Ledger, { dir }),
      create: (dir, force) => new Manager(Ledger, { dir, create: true, force }),
      state: (role) => role.read(counted, { timeoutMs: WAIT_MS }),
      peek: (role) => counted(role.snapshot()),
      advance: (role, timeoutMs) => role.edit((data) => fill(data, data.count + 1n), { timeoutMs }),
      half(role) {
        const session = role.lock({ timeoutMs: WAIT_MS });
        session.data.values[7] = 12345n;
        return session;
      },
      release(session) {
        session.data.values[7] = session.data.count;
        session.release();
      },
      watch(role, say) {
        say("watching");
        return role.waitForChange({ timeoutMs: WAIT_MS });
      },
    },
    document: {
      open: (dir) => new JsonMap({ file: `${dir}/d`, role: "master", create: false }),
      create: (dir, force) =>
        new JsonMap({ file: `${dir}/d`, role: "master", force, initial: documentOf(0) }),
      peek(role) {
        const found = role.read();
        if (found === undefined) throw Object.assign(new Error("no file"), { name: "FileMissingError" });
        const { n, copies } = found;
        if (copies.some((copy) => copy !== n)) throw new Error("torn");
        return n;
      },
      advance: (role, timeoutMs) => role.update(({ n }) => documentOf(n + 1), { timeoutMs }),
      async watch(role, say) {
        const changes = role.changes({ signal: AbortSignal.timeout(WAIT_MS) });
        const turn = changes.next();
        say("watching");
        const { done } = await turn;
        await changes.return();
        return !done;
      },
    },
    channel: {
      open: (dir) => new Subscriber(Item, { dir, from: "oldest" }),
      create(dir, force) {
        new Publisher(Item, { dir, create: true, slots: 64, force, waitMs: WAIT_MS }).close();
        return new Subscriber(Item, { dir, from: "oldest" });
      },
      peek(role) {
        // Looks at the file's length, which `published` does not.
        void role.changes().return();
        const { published } = role;
        for (let message = role.receive(); message !== undefined; message = role.receive())
          if (!isItem(message.data) || Number(message.data.number) !== message.index) throw new Error("torn");
        return published;
      },
      advance(_, waitMs, dir) {
        const publisher = new Publisher(Item, { dir, waitMs });
        publisher.send(itemOf(publisher.index));
        publisher.close();
      },
      half(_, dir) {
        const publisher = new Publisher(Item, { dir, waitMs: WAIT_MS });
        const loan = publisher.loan();
        loan.data.number = 12345n;
        return { publisher, loan };
      },
      again({ publisher, loan }) {
        loan[Symbol.dispose]();
        // Only now it is known which message it is: the channel may be another one.
        publisher.send((item) => {
          item.number = BigInt(publisher.index);
          item.values.fill(item.number);
        });
      },
      release: ({ publisher }) => publisher.close(),
      watch(role, say) {
        say("watching");
        return role.waitForChange({ timeoutMs: WAIT_MS });
      },
    },
    queue: {
      open: (dir) => new Queue(Item, { dir }),
      create: (dir, force) => new Queue(Item, { dir, create: true, slots: 64, force }),
      peek(role) {
        const jobs = [];
        let isTorn = false;
        try {
          for (let job = role.tryTake(); job !== undefined; job = role.tryTake()) {
            jobs.push(job);
            isTorn ||= !isItem(job.data);
          }
        } finally {
          for (const job of jobs) giveBack(job);
        }
        if (isTorn) throw new Error("torn");
        return jobs.length;
      },
      advance: (role, timeoutMs) => role.push(itemOf(0), { timeoutMs }),
      half: (role) => role.take({ timeoutMs: WAIT_MS }),
      release: (job) => job.release(),
    },
  };
}

export async function serve(library) {
  const contents = contentsOf(library);
  const open = {};
  const held = {};
  const commands = {
    open(kind, dir) {
      open[kind]?.close();
      open[kind] = undefined;
      open[kind] = contents[kind].open(dir);
    },
    create(kind, dir) {
      open[kind]?.close();
      open[kind] = contents[kind].create(dir, false);
    },
    force: (kind, dir) => contents[kind].create(dir, true).close(),
    state: (kind) => `state ${(contents[kind].state ?? contents[kind].peek)(open[kind])}`,
    peek: (kind) => `state ${contents[kind].peek(open[kind])}`,
    advance: (kind, dir) => void contents[kind].advance(open[kind], WAIT_MS, dir),
    try: (kind, dir) => void contents[kind].advance(open[kind], 0, dir),
    half(kind, dir) {
      held[kind] = contents[kind].half(open[kind], dir);
    },
    again: (kind) => void contents[kind].again(held[kind]),
    release: (kind) => contents[kind].release(held[kind]),
    watch: async (kind) => ((await contents[kind].watch(open[kind], say)) ? "ok" : "timeout"),
    churn(kind, dir) {
      say("churning");
      for (;;) contents[kind].advance(open[kind], WAIT_MS, dir);
    },
  };
  for await (const line of createInterface({ input: process.stdin })) {
    const [command, kind, dir] = line.split(" ");
    try {
      say((await commands[command](kind, dir)) ?? "ok");
    } catch (error) {
      say(WORDS[error.name] ?? (error.message === "torn" ? "torn" : `${error.name}: ${error.message}`));
    }
  }
}
