/** A participant in Bun: `bun peer.ts COMMAND DIRECTORY [NUMBER]`, one command a run, results on stdout. */
import { appendFileSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { Publisher, Subscriber } from "../../src/channel/index.ts";
import { JsonMap } from "../../src/document/index.ts";
import { Editor, Manager, Reader } from "../../src/index.ts";
import { Queue } from "../../src/queue/index.ts";
import { monotonicMs, nowNs } from "../../src/sys/clock.ts";
import { Item, isWhole, itemOf, Ledger } from "./shared.ts";

/** In JavaScript, as Node.js runs it too. */
const { serve }: { serve(library: object): Promise<void> } = await import(join(import.meta.dir, "serve.mjs"));

const say = (...words: unknown[]): void => console.log(words.join(" "));
/** For how long this thread could have run and had no processor, in milliseconds, as the kernel counts it. */
const unscheduledMs = (): number =>
  Number(readFileSync("/proc/thread-self/schedstat", "latin1").split(" ")[1]) / 1e6;
/** In milliseconds of CLOCK_MONOTONIC, which all processes share; for how long it had no processor meanwhile. */
const sayTimes = (times: readonly number[]): void => say(...times.map((ms) => ms.toFixed(3)));
const COPIES = 40;
/** Of a channel, how many messages in a burst. */
const BURST = 64;
type Counted = { n: number; copies: number[] };

const commands: Record<string, (where: string, number: number) => unknown> = {
  serve: () => serve({ Manager, Editor, JsonMap, Subscriber, Publisher, Queue, Ledger, Item }),

  /** Edits the ledger until it is killed. */
  edits(dir) {
    using editor = new Editor(Ledger, { dir });
    for (let i = 0; ; i++) {
      editor.edit((data) => {
        data.hits.add(1);
        const count = data.count + 1n;
        data.count = count;
        for (let k = 0; k < data.values.length; k++) data.values[k] = count;
      });
      if (i === 0) say("ready");
    }
  },

  snapshots(dir, milliseconds) {
    using reader = new Reader(Ledger, { dir });
    const end = performance.now() + milliseconds;
    let [copies, torn, older, last] = [0, 0, 0, 0];
    for (; performance.now() < end; copies++) {
      const { version } = reader;
      if (!isWhole(reader.snapshot())) torn++;
      if (version < last) older++;
      last = version;
    }
    say(copies, torn, older);
  },

  /** Commits once a millisecond; `count` is the time in nanoseconds. */
  ticks(dir, count) {
    using editor = new Editor(Ledger, { dir });
    let next = performance.now();
    for (let i = 0; i < count; i++) {
      next += 1;
      Bun.sleepSync(Math.max(0, next - performance.now()));
      editor.edit((data) => {
        data.writer++;
        data.count = nowNs();
      });
    }
  },

  /** At each change: how old the last commit is, in microseconds, until `writer` is that number. */
  async sees(dir, count) {
    using reader = new Reader(Ledger, { dir });
    const ages: number[] = [];
    const changes = reader.changes();
    say("ready");
    for (let last = 0; last < count; ) {
      await changes.next();
      const { writer, count: writtenAt } = reader.snapshot();
      if (writer !== last) ages.push(Number(nowNs() - writtenAt) / 1000);
      last = writer;
    }
    await changes.return?.();
    say(ages.map((age) => age.toFixed(1)).join("\n"));
  },

  /** Reads under the lock, each time for that long, in a row; without end. With TIMES: when each began and ended. */
  shares(dir, milliseconds) {
    using reader = new Reader(Ledger, { dir });
    say("ready");
    for (;;) {
      const times = reader.read(() => {
        const start = monotonicMs();
        Bun.sleepSync(milliseconds);
        return [start, monotonicMs()];
      });
      if (process.env.TIMES !== undefined) sayTimes(times);
    }
  },

  /** Takes the lock that many times; when each wait began and ended, and how long there was no processor. */
  "waits-for-lock"(dir, count) {
    using editor = new Editor(Ledger, { dir });
    for (let i = 0; i < count; i++) {
      const before = unscheduledMs();
      const times = [monotonicMs()];
      {
        using _ = editor.lock();
        times.push(monotonicMs());
      }
      sayTimes([...times, unscheduledMs() - before]);
      Bun.sleepSync(1);
    }
  },

  /** Counts up in a document until it is killed. */
  counts(path) {
    using map = new JsonMap<Counted>({ file: path, role: "master" });
    for (let i = 0; ; i++) {
      map.update((found) => {
        const n = (found?.n ?? 0) + 1;
        return { n, copies: Array.from({ length: COPIES }, () => n) };
      });
      if (i === 0) say("ready");
    }
  },

  publishes(dir) {
    using publisher = new Publisher(Item, { dir });
    say(publisher.index, publisher.epoch);
    for (;;) {
      for (let i = 0; i < BURST; i++) publisher.send(itemOf(publisher.index));
      Bun.sleepSync(0.2);
    }
  },

  listens(dir, milliseconds) {
    using subscriber = new Subscriber(Item, { dir, from: "oldest" });
    const end = performance.now() + milliseconds;
    let [received, torn] = [0, 0];
    while (performance.now() < end) {
      const message = subscriber.receive();
      if (message === undefined) {
        Bun.sleepSync(0.1);
        continue;
      }
      received++;
      const { number, values } = message.data;
      if (number !== BigInt(message.index) || !values.every((value) => value === number)) torn++;
    }
    say(received, torn);
  },

  /** Pushes jobs from that number on until it is killed, and notes each in the file of that name once it is pushed. */
  produces(dir, first) {
    using queue = new Queue(Item, { dir });
    say("ready");
    for (let number = first; ; number++) {
      queue.push(itemOf(number));
      note(number);
    }
  },

  /** Takes jobs until it is killed, and notes each in the file of that name before it is done. */
  works(dir) {
    using queue = new Queue(Item, { dir });
    say("ready");
    for (;;) {
      using job = queue.take();
      if (job === undefined) continue;
      note(job.data.number, Number(isItem(job.data)));
      job.done();
    }
  },
};

const note = (...words: unknown[]): void => appendFileSync(process.env.LOG ?? "", `${words.join(" ")}\n`);

const isItem = ({ number, values }: { number: bigint; values: BigUint64Array }): boolean =>
  values.every((value) => value === number);

const [command = "", where = "", number = "0"] = process.argv.slice(2);
await commands[command]?.(where, Number(number));
