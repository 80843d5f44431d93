// A participant in Node.js: `node peer.mjs COMMAND DIRECTORY [NUMBER]`, one command a run, results on stdout.
import { readFileSync } from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";
import {
  array,
  atomic,
  c_uint32,
  c_uint64,
  Editor,
  field,
  LockTimeoutError,
  Manager,
  MmapStructure,
  openEditor,
  Reader,
  Struct,
} from "shmstruct";
import { Publisher, Subscriber } from "shmstruct/channel";
import { JsonMap } from "shmstruct/json";
import { Queue } from "shmstruct/queue";
import { serve } from "./serve.mjs";

/** What a compiler makes of decorators. */
function declare(cls, fields) {
  for (const [name, type] of Object.entries(fields)) field(type)(cls.prototype, name);
  return cls;
}

const Ledger = declare(class Ledger extends MmapStructure {}, {
  count: c_uint64,
  values: array(c_uint64, 60),
  hits: atomic(c_uint32),
  writer: c_uint32,
});
const Wider = declare(class Ledger extends MmapStructure {}, {
  count: c_uint64,
  values: array(c_uint64, 60),
  hits: atomic(c_uint32),
  writer: c_uint32,
  more: c_uint64,
});
const Item = declare(class Item extends Struct {}, { number: c_uint64, values: array(c_uint64, 15) });

/** Nothing wakes who sleeps on it. */
const asleep = new Int32Array(new SharedArrayBuffer(4));

const nowNs = () => BigInt(Math.round((performance.timeOrigin + performance.now()) * 1e6));

const say = (...words) => console.log(words.join(" "));

/** For how long this thread could have run and had no processor, in nanoseconds, as the kernel counts it. */
const unscheduledNs = () => Number(readFileSync("/proc/thread-self/schedstat", "latin1").split(" ")[1]);

/** In milliseconds of CLOCK_MONOTONIC, which all processes share; for how long it had no processor meanwhile. */
const sayTimes = (...times) => say(...times.map((ns) => (Number(ns) / 1e6).toFixed(3)));

function isWhole({ count, values }) {
  for (const value of values) if (value !== count) return false;
  return true;
}

function fill(data, count) {
  data.count = count;
  data.values.fill(count);
}

const commands = {
  serve: () => serve({ Manager, Editor, JsonMap, Subscriber, Publisher, Queue, Ledger, Item }),

  edits(dir, count) {
    const editor = openEditor(`${dir}/Ledger_.mmap`);
    for (let i = 0; count < 0 || i < count; i++) {
      try {
        editor.edit((data) => {
          fill(data, data.count + 1n);
          if (i % 7 !== 3) return;
          fill(data, 12345n);
          throw new Error("roll back");
        });
      } catch (error) {
        if (error.message !== "roll back") throw error;
      }
      if (count < 0 && i === 0) say(i);
    }
    say(editor.version);
    editor.close();
  },

  snapshots(dir, milliseconds) {
    const reader = new Reader(Ledger, { dir });
    const end = performance.now() + milliseconds;
    let [copies, torn, older, last] = [0, 0, 0, 0];
    while (performance.now() < end) {
      const { version } = reader;
      if (!isWhole(reader.snapshot())) torn++;
      if (version < last) older++;
      last = version;
      copies++;
    }
    say(copies, torn, older);
  },

  waits(dir, count) {
    const reader = new Reader(Ledger, { dir });
    say("ready");
    for (let i = 0; i < count; i++) if (!reader.waitForChange({ timeoutMs: 60_000 })) say("none");
    say(reader.version);
  },

  async changes(dir, count) {
    const reader = new Reader(Ledger, { dir });
    const changes = reader.changes();
    say("ready");
    let version;
    for (let i = 0; i < count; i++) ({ value: version } = await changes.next());
    say(version);
    reader.close();
  },

  async ticks(dir, count) {
    const editor = new Editor(Ledger, { dir });
    let next = performance.now();
    for (let i = 0; i < count; i++) {
      next += 1;
      Atomics.wait(asleep, 0, 0, Math.max(0, next - performance.now()));
      editor.edit((data) => {
        data.writer++;
        data.count = nowNs();
      });
    }
    editor.close();
  },

  async sees(dir, count) {
    const reader = new Reader(Ledger, { dir });
    const changes = reader.changes();
    const ages = [];
    say("ready");
    for (let last = 0; last < count; ) {
      await changes.next();
      const { writer, count: writtenAt } = reader.snapshot();
      if (writer !== last) ages.push(Number(nowNs() - writtenAt) / 1000);
      last = writer;
    }
    say(ages.map((age) => age.toFixed(1)).join("\n"));
    reader.close();
  },

  shares(dir, milliseconds) {
    const reader = new Reader(Ledger, { dir });
    say("ready");
    for (;;) {
      const hold = () => {
        const start = process.hrtime.bigint();
        Atomics.wait(asleep, 0, 0, milliseconds);
        return [start, process.hrtime.bigint()];
      };
      const times = reader.read(hold);
      if (process.env.TIMES !== undefined) sayTimes(...times);
    }
  },

  "waits-for-lock"(dir, count) {
    const editor = new Editor(Ledger, { dir });
    for (let i = 0; i < count; i++) {
      const before = unscheduledNs();
      const start = process.hrtime.bigint();
      const session = editor.lock();
      const end = process.hrtime.bigint();
      session.release();
      sayTimes(start, end, unscheduledNs() - before);
      Atomics.wait(asleep, 0, 0, 1);
    }
  },

  timeout(dir, milliseconds) {
    const editor = new Editor(Ledger, { dir });
    try {
      editor.lock({ timeoutMs: milliseconds });
      say("held");
    } catch (error) {
      if (!(error instanceof LockTimeoutError)) throw error;
      say("timeout", error.holders[0]?.pid);
    }
  },

  async holds(dir, milliseconds) {
    const session = new Editor(Ledger, { dir }).lock();
    fill(session.data, 99n);
    say("held");
    await sleep(milliseconds);
    session.release();
    say("released");
  },

  create(dir, count) {
    const init = (data) => fill(data, BigInt(count));
    const manager = new Manager(Ledger, { dir, create: true, force: true, init });
    say(manager.version, manager.get("count"));
    manager.close();
  },

  migrate(dir) {
    const manager = new Manager(Wider, { dir, create: true, migrate: true });
    say(isWhole(manager.snapshot()), manager.get("hits"), manager.get("more"));
    manager.backup(`${dir}/saved`);
    manager.close();
  },

  remove(dir) {
    new Manager(Ledger, { dir }).remove({ purge: true });
  },

  python(dir, count) {
    const editor = new Editor(Ledger, { dir, lockDir: `${dir}/locks` });
    const reader = new Reader(Ledger, { dir, lockDir: `${dir}/locks` });
    for (let i = 0; i < count; i++) {
      editor.edit((data) => fill(data, data.count + 1n));
      if (!reader.read(isWhole)) say("torn");
    }
    say(reader.snapshot().count);
  },

  document(path, text) {
    const map = new JsonMap({ file: path, role: "master" });
    if (text !== undefined) map.update((before) => ({ ...before, from: text }));
    say(map.version, JSON.stringify(map.read()));
    map.close();
  },

  counts(path, count) {
    const map = new JsonMap({ file: path, role: "master" });
    for (let i = 0; count < 0 || i < count; i++) {
      map.update(({ n, copies }) => ({ n: n + 1, copies: copies.map(() => n + 1) }));
      if (count < 0 && i === 0) say("ready");
    }
    map.close();
  },

  reads(path, milliseconds) {
    const map = new JsonMap({ file: path, role: "follower" });
    const end = performance.now() + milliseconds;
    let [reads, torn, older, last] = [0, 0, 0, 0];
    for (; performance.now() < end; reads++) {
      const { version } = map;
      const { n, copies } = map.read();
      if (copies.some((copy) => copy !== n)) torn++;
      if (version < last) older++;
      last = version;
    }
    say(reads, torn, older);
  },

  async receives(dir, count) {
    const subscriber = new Subscriber(Item, { dir, from: "oldest" });
    say("ready");
    let [seen, torn, peeked] = [0, 0, 0];
    for await (const { data, index, missed } of subscriber) {
      if (data.number !== BigInt(index) || !data.values.every((value) => value === data.number)) torn++;
      seen += 1 + missed;
      const shown = (view, message) => {
        if (view.number === BigInt(message.index)) peeked++;
        seen += 1 + message.missed;
      };
      if (!subscriber.peek(shown)) continue;
      if (seen >= count) break;
    }
    say(seen, torn, peeked > 0);
    subscriber.close();
  },

  async listens(dir, milliseconds) {
    const subscriber = new Subscriber(Item, { dir, from: "oldest" });
    const end = performance.now() + milliseconds;
    let [received, torn] = [0, 0];
    while (performance.now() < end) {
      const message = subscriber.receive();
      if (message === undefined) {
        await sleep(1);
        continue;
      }
      const { data, index } = message;
      if (data.number !== BigInt(index) || !data.values.every((value) => value === data.number)) torn++;
      received++;
    }
    say(received, torn);
    subscriber.close();
  },

  unsupported(dir) {
    const editor = new Editor(Ledger, { dir });
    const attempts = {
      live: () => editor.live,
      "hits.add": () => editor.edit((data) => data.hits.add(1)),
      "hits.wait": () => editor.edit((data) => data.hits.wait(0, { timeoutMs: 1 })),
      ownerId: () => editor.ownerId,
      Queue: () => new Queue(Item, { dir }),
      "Queue.open": () => Queue.open(Item, { dir }),
      Publisher: () => new Publisher(Item, { dir }),
    };
    for (const [name, attempt] of Object.entries(attempts)) {
      try {
        attempt();
        say(name, "works");
      } catch (error) {
        say(name, error.code, error.message);
      }
    }
    say(editor.get("hits"), editor.version);
  },
};

const [command, where, argument] = process.argv.slice(2);
const isText = command === "document" || argument === undefined;
await commands[command](where, isText ? argument : Number(argument));
