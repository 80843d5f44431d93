/** Row 15: a message of 64 bytes or 6 MiB from one process to another. */
import { closeSync, ftruncateSync, mkdtempSync, openSync, rmSync } from "node:fs";
import { join } from "node:path";
import { type MessageInfo, Publisher, Subscriber } from "../src/channel/index.ts";
import { MessageQueue, O_CREAT } from "../src/posix/index.ts";
import { realtime } from "../src/sys/clock.ts";
import { now, pause } from "./clock.ts";
import {
  alone,
  type Case,
  isQuick,
  type Metrics,
  median,
  quantile,
  type Row,
  type Suite,
  timed,
} from "./harness.ts";
import { boostProgram, cProgram, iceoryxProgram, inTempDir, stayOn } from "./prepare.ts";

const BYTES = 64;
const LARGE = 6 << 20;
const ROUNDS = isQuick ? 4000 : 20_000;
/** The first ones find code that is not compiled yet. */
const WARM_UP = isQuick ? 8000 : 20_000;
const SOCKET_ROUNDS = isQuick ? 500 : 3000;
const SOCKET_WARM_UP = isQuick ? 300 : 1000;
/** Echoes answer for as long as this file's parent asks. */
const SPIN = { timeoutMs: 10_000, spinMs: 10_000 } as const;

/** A directory in memory: what is on a disk the kernel writes there now and then. */
async function withMemory<R>(use: (dir: string) => R | Promise<R>): Promise<R> {
  const dir = mkdtempSync("/dev/shm/shmstruct-bench-");
  try {
    return await use(dir);
  } finally {
    rmSync(dir, { recursive: true, force: true });
  }
}

const channel = (dir: string, tag: string, payloadBytes = BYTES, slots = 1024): Publisher<Uint8Array> =>
  new Publisher(Uint8Array, { dir, tag, create: true, payloadBytes, slots, clear: false });

/** Times `send` and `receive` of one process until there and back again: half of it. */
async function echo(rounds: number, warmUp: number, once: () => unknown): Promise<Metrics> {
  stayOn(0);
  const times: number[] = [];
  for (let i = 0; i < rounds + warmUp; i++) {
    const start = now();
    await once();
    if (i >= warmUp) times.push((now() - start) / 2);
  }
  return { p50: median(times), p99: quantile(times, 0.99) };
}

function peer(
  role: string,
  args: string[],
  ipc?: (message: unknown) => void,
): Bun.Subprocess<"ignore", "pipe", "inherit"> {
  return Bun.spawn([process.execPath, import.meta.filename, "peer", role, ...args], {
    stdin: "ignore",
    stdout: "pipe",
    stderr: "inherit",
    ...(ipc && { ipc }),
  });
}

const isReady = async (child: Bun.Subprocess<"ignore", "pipe", "inherit">): Promise<void> => {
  await child.stdout.getReader().read();
};

/** As `echo`, without a turn of the event loop, which takes longer than a message. */
function timesOneWay(thereAndBack: () => void): Metrics {
  const times: number[] = [];
  for (let i = 0; i < ROUNDS + WARM_UP; i++) {
    const start = now();
    thereAndBack();
    if (i >= WARM_UP) times.push((now() - start) / 2);
  }
  return { p50: median(times), p99: quantile(times, 0.99) };
}

/** Each side spins: no wake-ups. The echo is synchronous, so it is timed without awaits. */
const spinning: Case = () =>
  withMemory(async (dir) => {
    using there = channel(dir, "there");
    channel(dir, "back").close();
    using back = new Subscriber(Uint8Array, { dir, tag: "back", from: "next" });
    const child = peer("channel", [dir]);
    await isReady(child);
    const message = new Uint8Array(BYTES).fill(1);
    stayOn(0);
    const oneWay = timesOneWay(() => {
      there.send(message);
      back.receive(SPIN);
    });
    child.kill(9);
    return oneWay;
  });

/** One direction of `spinningByHand`: slots as a channel's, without its checks, errors, loans, views and options. */
class SlotsByHand {
  static readonly SLOTS = 1024;
  static readonly WORDS = 128 / 4;
  static readonly FIRST = 4096 / 4;
  readonly #words: Int32Array;
  readonly #payloads: Uint8Array[];
  readonly #zero = new Int32Array(1);
  readonly #barrier = new Int32Array(1);
  #next = 0;

  constructor(path: string) {
    const byteLength = 4 * (SlotsByHand.FIRST + SlotsByHand.SLOTS * SlotsByHand.WORDS);
    const fd = openSync(path, "a+");
    ftruncateSync(fd, byteLength);
    closeSync(fd);
    const bytes = Bun.mmap(path, { shared: true });
    this.#words = new Int32Array(bytes.buffer, 0, byteLength / 4);
    this.#payloads = Array.from({ length: SlotsByHand.SLOTS }, (_, i) => {
      const start = 4 * (SlotsByHand.FIRST + i * SlotsByHand.WORDS) + 64;
      return bytes.subarray(start, start + BYTES);
    });
  }

  give(message: Uint8Array): void {
    const words = this.#words;
    const k = this.#next;
    const slot = SlotsByHand.FIRST + (k & 1023) * SlotsByHand.WORDS;
    words[slot] = (k << 1) | 1;
    words[slot + 2] = k;
    words[slot + 3] = 0;
    words[slot + 6] = 1;
    this.#payloads[k & 1023]!.set(message);
    realtime.read();
    words[slot + 1] = BYTES;
    words[slot + 4] = realtime.low;
    words[slot + 5] = realtime.high;
    words[slot + 7] = 0;
    const next = (k + 1) | 0;
    Atomics.store(words, slot, next << 1);
    words[16] = next;
    const following = SlotsByHand.FIRST + (next & 1023) * SlotsByHand.WORDS;
    words[following] = words[following]! ^ this.#zero[0]!;
    words[following + 16] = words[following + 16]! ^ this.#zero[0]!;
    this.#next = next;
  }

  take(): { data: Uint8Array } & MessageInfo {
    const [words, barrier] = [this.#words, this.#barrier];
    const k = this.#next;
    const slot = SlotsByHand.FIRST + (k & 1023) * SlotsByHand.WORDS;
    const want = (k + 1) << 1;
    for (;;) {
      barrier[0] = ~barrier[0]!;
      if (words[slot] !== want) continue;
      barrier[0] = ~barrier[0]!;
      if (words[slot + 2] !== k || words[slot + 3] !== 0) continue;
      const sentAt = (words[slot + 5]! >>> 0) * 2 ** 32 + (words[slot + 4]! >>> 0);
      const data = new Uint8Array(this.#payloads[k & 1023]!);
      const [length, epoch, type] = [words[slot + 1]!, words[slot + 6]!, words[slot + 7]!];
      barrier[0] = ~barrier[0]!;
      if (words[slot] !== want) continue;
      this.#next = (k + 1) | 0;
      return { data, index: k, missed: 0, sentAt, type, length, epoch };
    }
  }
}

/** As `spinning`, the slots by hand. */
const spinningByHand: Case = () =>
  withMemory(async (dir) => {
    const [there, back] = [new SlotsByHand(join(dir, "there")), new SlotsByHand(join(dir, "back"))];
    const child = peer("byHand", [dir]);
    await isReady(child);
    const message = new Uint8Array(BYTES).fill(1);
    stayOn(0);
    const oneWay = timesOneWay(() => {
      there.give(message);
      back.take();
    });
    child.kill(9);
    return oneWay;
  });

/** Both ends wait in their event loops. */
const asleep: Case = () =>
  withMemory(async (dir) => {
    using there = channel(dir, "there");
    channel(dir, "back").close();
    using back = new Subscriber(Uint8Array, { dir, tag: "back", from: "next" });
    const child = peer("channelAsync", [dir]);
    await isReady(child);
    const message = new Uint8Array(BYTES).fill(1);
    const messages = back.messages();
    const metrics = await echo(SOCKET_ROUNDS, SOCKET_WARM_UP, () => {
      const next = messages.next();
      there.send(message);
      return next;
    });
    child.kill(9);
    return metrics;
  });

const socket: Case = () =>
  inTempDir(async (dir) => {
    const path = join(dir, "socket");
    let answered = (): void => {};
    const child = peer("socket", [path]);
    await isReady(child);
    const connection = await Bun.connect({ unix: path, socket: { data: () => answered() } });
    const message = new Uint8Array(BYTES).fill(1);
    const metrics = await echo(SOCKET_ROUNDS, SOCKET_WARM_UP, () => {
      const { promise, resolve } = Promise.withResolvers<void>();
      answered = resolve;
      connection.write(message);
      return promise;
    });
    child.kill(9);
    return metrics;
  });

const processSend: Case = async () => {
  let answered = (): void => {};
  const child = peer("ipc", [], () => answered());
  await isReady(child);
  const message = [...new Uint8Array(BYTES).fill(1)];
  const metrics = await echo(SOCKET_ROUNDS, SOCKET_WARM_UP, () => {
    const { promise, resolve } = Promise.withResolvers<void>();
    answered = resolve;
    child.send(message);
    return promise;
  });
  child.kill(9);
  return metrics;
};

const broadcast: Case = async () => {
  const name = `shmstruct-bench-${process.pid}`;
  const worker = new Worker(import.meta.filename, { argv: ["peer", "broadcast", name] });
  using there = { channel: new BroadcastChannel(name), [Symbol.dispose]: () => worker.terminate() };
  const { promise, resolve } = Promise.withResolvers<void>();
  let answered = resolve;
  there.channel.onmessage = () => answered();
  await promise;
  const message = new Uint8Array(BYTES).fill(1);
  const metrics = await echo(SOCKET_ROUNDS, SOCKET_WARM_UP, () => {
    const turn = Promise.withResolvers<void>();
    answered = turn.resolve;
    there.channel.postMessage(message);
    return turn.promise;
  });
  there.channel.close();
  return metrics;
};

/** Both block in mq_receive. */
const posix: Case = async () => {
  const name = `/shmstruct-bench-${process.pid}`;
  const options = { flags: O_CREAT, maxMessages: 8, maxMessageSize: BYTES } as const;
  using there = new MessageQueue({ name: `${name}-there`, ...options });
  using back = new MessageQueue({ name: `${name}-back`, ...options });
  const child = peer("mq", [name]);
  await isReady(child);
  const message = new Uint8Array(BYTES).fill(1);
  const metrics = await echo(SOCKET_ROUNDS, SOCKET_WARM_UP, () => {
    there.send(message);
    back.receive();
  });
  child.kill(9);
  there.unlink();
  back.unlink();
  return metrics;
};

const publishing: Case = () =>
  withMemory(async (dir) => {
    using publisher = channel(dir, "");
    const message = new Uint8Array(BYTES).fill(1);
    return await timed(1000, () => {
      for (let i = 0; i < 1000; i++) publisher.send(message);
    });
  });

/** Processor time of this process by getrusage(2), in nanoseconds. */
function processTime(): number {
  const { user, system } = process.cpuUsage();
  return (user + system) * 1000;
}

/** What a message takes of the publisher's process: `ns` by the clock of its thread, `rusage` by getrusage for all its threads. */
const publishingTo = (role: "poll" | "pace" | "sleep", subscribers: number): Case => {
  return () =>
    withMemory(async (dir) => {
      using publisher = channel(dir, "");
      const child = peer(role, [dir, String(subscribers)]);
      await isReady(child);
      const message = new Uint8Array(BYTES).fill(1);
      const thousand = () => {
        for (let i = 0; i < 1000; i++) publisher.send(message);
      };
      const { ns } = await timed(1000, thousand);
      const windows = Array.from({ length: isQuick ? 3 : 9 }, () => {
        const start = processTime();
        for (let i = 0; i < 300; i++) thousand();
        return (processTime() - start) / 300_000;
      });
      child.kill(9);
      return { ns: ns!, rusage: Math.min(...windows) };
    });
};

const large = (isCopied: boolean): Case => {
  return () =>
    withMemory(async (dir) => {
      using publisher = channel(dir, "", LARGE, 4);
      using subscriber = new Subscriber(Uint8Array, { dir, from: "next" });
      const message = new Uint8Array(LARGE).fill(1);
      const copy = new Uint8Array(LARGE);
      return await timed(1, () => {
        if (isCopied) {
          publisher.send(message);
          subscriber.peek((view) => copy.set(view));
          return;
        }
        using loan = publisher.loan();
        loan.data[0] = 1;
        loan.send();
        subscriber.peek((view) => view[0]);
      });
    });
};

/** `receive()` gives a copy of its own each time, in fresh memory. */
const largeReceived: Case = () =>
  withMemory(async (dir) => {
    using publisher = channel(dir, "", LARGE, 4);
    using subscriber = new Subscriber(Uint8Array, { dir, from: "next" });
    const message = new Uint8Array(LARGE).fill(1);
    return await timed(1, () => {
      publisher.send(message);
      subscriber.receive();
    });
  });

/** A ring of four slots of 6 MiB in shared memory, by hand: each is written and read in turn. */
const byHand = (copyOut: (slot: Uint8Array) => unknown): Case => {
  return () =>
    withMemory(async (dir) => {
      const path = join(dir, "ring");
      const fd = openSync(path, "w+");
      ftruncateSync(fd, 4 * LARGE);
      closeSync(fd);
      const ring = Bun.mmap(path, { shared: true });
      const slots = Array.from({ length: 4 }, (_, i) => ring.subarray(i * LARGE, (i + 1) * LARGE));
      const message = new Uint8Array(LARGE).fill(1);
      let turn = 0;
      return await timed(1, () => {
        const slot = slots[turn++ & 3]!;
        slot.set(message);
        copyOut(slot);
      });
    });
};

const largeCopy = new Uint8Array(LARGE);

const memcpy: Case = async () => {
  const [from, to] = [new Uint8Array(LARGE).fill(1), new Uint8Array(LARGE)];
  return await timed(1, () => to.set(from));
};

/** As many buffers in turns as a ring of four slots, a message and a copy have: each is out of the cache when its turn comes. */
const memcpyUncached: Case = async () => {
  const buffers = Array.from({ length: 6 }, () => new Uint8Array(LARGE).fill(1));
  let turn = 0;
  return await timed(1, () => {
    buffers[(turn + 3) % 6]!.set(buffers[turn % 6]!);
    turn++;
  });
};

const peers: Readonly<Record<string, (...args: string[]) => unknown>> = {
  channel(dir = "") {
    using back = new Publisher(Uint8Array, { dir, tag: "back", clear: false });
    using there = new Subscriber(Uint8Array, { dir, tag: "there", from: "next" });
    stayOn(1);
    console.log("ready");
    for (;;) back.send(there.receive(SPIN)!.data);
  },
  byHand(dir = "") {
    const [there, back] = [new SlotsByHand(join(dir, "there")), new SlotsByHand(join(dir, "back"))];
    stayOn(1);
    console.log("ready");
    for (;;) back.give(there.take().data);
  },
  async channelAsync(dir = "") {
    using back = new Publisher(Uint8Array, { dir, tag: "back", clear: false });
    using there = new Subscriber(Uint8Array, { dir, tag: "there", from: "next" });
    stayOn(1);
    console.log("ready");
    for await (const { data } of there) back.send(data);
  },
  poll(dir = "", count = "1") {
    const all = Array.from(
      { length: Number(count) },
      () => new Subscriber(Uint8Array, { dir, from: "next" }),
    );
    console.log("ready");
    for (;;) for (const subscriber of all) subscriber.receive();
  },
  /** Each looks every millisecond. */
  pace(dir = "", count = "1") {
    const all = Array.from(
      { length: Number(count) },
      () => new Subscriber(Uint8Array, { dir, from: "next" }),
    );
    console.log("ready");
    for (;;) {
      for (const subscriber of all) subscriber.receive();
      pause(1);
    }
  },
  /** Each sleeps in a loop of its own over the changes, as `for await` does. */
  async sleep(dir = "", count = "1") {
    const all = Array.from(
      { length: Number(count) },
      () => new Subscriber(Uint8Array, { dir, from: "next" }),
    );
    console.log("ready");
    await Promise.all(
      all.map(async (subscriber) => {
        for await (const _ of subscriber.changes()) subscriber.latest();
      }),
    );
  },
  socket(path = "") {
    Bun.listen({ unix: path, socket: { data: (connection, bytes) => void connection.write(bytes) } });
    stayOn(1);
    console.log("ready");
  },
  ipc() {
    process.on("message", (message) => process.send?.(message));
    stayOn(1);
    console.log("ready");
  },
  broadcast(name = "") {
    const back = new BroadcastChannel(name);
    back.onmessage = ({ data }) => back.postMessage(data);
    back.postMessage("ready");
  },
  mq(name = "") {
    const there = new MessageQueue({ name: `${name}-there` });
    const back = new MessageQueue({ name: `${name}-back` });
    stayOn(1);
    console.log("ready");
    for (;;) back.send(there.receive()[0]);
  },
};

const SPINNING = "channel, both spin";
const ASLEEP = "channel, for await";

const row = (what: string, ours: string, other: string, aim?: Row["aim"]): Row => ({
  id: "15",
  what,
  ours,
  peer: other,
  metric: "p50",
  ...(aim && { aim }),
});

const ASLEEP_FLOOR =
  "both ends wait in their event loops, which the kernel wakes (io_uring: one wake, as a socket's; locking.md has the wake alone beside a socket's). What remains is the message: written into the ring and copied out of it, and the promises of an async iteration. One wake takes programs in C the time of the row of the floor; what a thread and an event loop take by hand stands in the table of row 9.";

const suite: Suite = {
  title: "Messages between processes: channels",
  file: import.meta.filename,
  honest:
    "64 bytes there and back again between two processes, each on a processor of its own; half of it is one way. Ours are written into the ring and copied out of it. BroadcastChannel is between two threads. Of subscribers that poll without a pause one asks for the publisher's lines at every look and 200 in turns on one processor as often together, but each for others: so 200 may cost the publisher less than 1, and those that poll every ms are the better comparison.",
  idle: "nothing; a subscriber that waits is a request that sleeps in the kernel, or a thread.",
  cases: {
    [SPINNING]: spinning,
    "such slots by hand, both spin": spinningByHand,
    [ASLEEP]: asleep,
    "Unix socket": socket,
    "process.send": processSend,
    BroadcastChannel: broadcast,
    "POSIX message queue": posix,
    "publish 64 B": publishing,
    "publish 64 B, 1 subscriber polls": publishingTo("poll", 1),
    "publish 64 B, 200 subscribers poll": publishingTo("poll", 200),
    "publish 64 B, 1 subscriber polls every ms": publishingTo("pace", 1),
    "publish 64 B, 200 subscribers poll every ms": publishingTo("pace", 200),
    "publish 64 B, 1 subscriber asleep": publishingTo("sleep", 1),
    "publish 64 B, 200 subscribers asleep": publishingTo("sleep", 200),
    "6 MiB by reference": large(false),
    "6 MiB copied in and out": large(true),
    "6 MiB copied in, receive()": largeReceived,
    "memcpy of 6 MiB": memcpy,
    "memcpy of 6 MiB, six buffers in turns": memcpyUncached,
    "6 MiB in and out of such a ring by hand": byHand((slot) => largeCopy.set(slot)),
    "6 MiB in such a ring, and out into fresh memory by hand": byHand((slot) =>
      new Uint8Array(LARGE).set(slot),
    ),
  },
  programs: () => ({
    "boost message_queue, both spin": boostProgram("boost-queue", "echo"),
    "iceoryx, both spin": iceoryxProgram("iceoryx-echo"),
    "iceoryx2, both spin": { missing: "it is in neither npm nor Debian" },
    "C, a flag and 64 bytes": cProgram("one-way", "flag"),
    "C, a channel's slot by hand": cProgram("one-way", "slot"),
    "C, 64 bytes and a futex, asleep": cProgram("one-way", "sleep"),
  }),
  rows: [
    {
      ...row("64 B one way, spinning", SPINNING, "boost message_queue, both spin", { atLeast: 1 }),
      headline: "A message of 64 bytes through a channel, both sides look",
    },
    {
      ...row("64 B one way, receivers asleep", ASLEEP, "Unix socket", { atMost: 1.1 }),
      floor: ASLEEP_FLOOR,
      headline: "A message of 64 bytes through a channel, both sides asleep",
    },
    row("64 B one way, spinning", SPINNING, "iceoryx, both spin", { atLeast: 1 }),
    row("64 B one way, spinning", SPINNING, "iceoryx2, both spin", { atLeast: 1 }),
    row("64 B one way, spinning; such slots by hand in Bun", SPINNING, "such slots by hand, both spin"),
    row("64 B one way, spinning; the floor", SPINNING, "C, a flag and 64 bytes"),
    row("64 B one way, spinning; the protocol in C", SPINNING, "C, a channel's slot by hand"),
    {
      ...row("64 B one way, receivers asleep", ASLEEP, "process.send", { atLeast: 1 }),
      floor: ASLEEP_FLOOR,
    },
    row(
      "64 B one way, receivers asleep; the floor: one wake in C",
      ASLEEP,
      "C, 64 bytes and a futex, asleep",
    ),
    row("64 B one way, receivers asleep", ASLEEP, "BroadcastChannel"),
    row("64 B one way, spinning", SPINNING, "POSIX message queue", { atLeast: 1 }),
    {
      id: "15",
      what: "6 MiB in and out",
      ours: "6 MiB copied in and out",
      peer: "memcpy of 6 MiB",
      aim: { atMost: 2.5 },
      floor:
        "two copies by hand through four slots of shared memory take the time of the row of the floor (as they do through private memory): all slots together do not fit into the processor's cache, as the two buffers of the memcpy do. Against a memcpy whose buffers do not either, see the row below.",
    },
    {
      id: "15",
      what: "6 MiB in and out, against a memcpy of as many buffers",
      ours: "6 MiB copied in and out",
      peer: "memcpy of 6 MiB, six buffers in turns",
      aim: { atMost: 2.5 },
    },
    {
      id: "15",
      what: "6 MiB in and out; the floor",
      ours: "6 MiB copied in and out",
      peer: "6 MiB in and out of such a ring by hand",
    },
    {
      id: "15",
      what: "6 MiB in, and out by receive(), which allocates",
      ours: "6 MiB copied in, receive()",
      peer: "6 MiB in such a ring, and out into fresh memory by hand",
      aim: { atMost: 1.25 },
    },
    {
      id: "15",
      what: "publishing 64 B with 200 subscribers asleep, against 1 asleep",
      ours: "publish 64 B, 200 subscribers asleep",
      peer: "publish 64 B, 1 subscriber asleep",
    },
    {
      id: "15",
      what: "publishing 64 B with 200 subscribers that poll every ms, against 1, by getrusage of the publisher's process",
      ours: "publish 64 B, 200 subscribers poll every ms",
      peer: "publish 64 B, 1 subscriber polls every ms",
      metric: "rusage",
      aim: { atMost: 1.05 },
    },
    {
      id: "15",
      what: "publishing 64 B with 200 subscribers that poll without a pause, in turns on one processor, against 1, by getrusage",
      ours: "publish 64 B, 200 subscribers poll",
      peer: "publish 64 B, 1 subscriber polls",
      metric: "rusage",
      aim: { atMost: 1.05 },
    },
    {
      id: "15",
      what: "publishing 64 B, its thread's own time, 200 subscribers that poll without a pause, and 1",
      ours: "publish 64 B, 200 subscribers poll",
      peer: "publish 64 B, 1 subscriber polls",
      aim: { atMost: 1.05 },
    },
  ],
  figures: [
    {
      id: "15",
      what: "64 B one way, both spin, p50",
      case: SPINNING,
      metric: "p50",
      unit: "ns",
      atMost: 200,
      floor:
        "two programs in C that share a flag and 64 bytes take the time of the row of the floor, and the stores of a slot by hand that of the rows beside it, in C and in Bun: a message takes the lines of header and payload from one processor to the other. Where the machine's processors are far from each other, a flag and 64 bytes in C take 300 ns, more than the aim.",
    },
    { id: "15", what: "publish 64 B", case: "publish 64 B", metric: "ns", unit: "ns", atMost: 125 },
    {
      id: "15",
      what: "6 MiB by reference: loan, send, peek",
      case: "6 MiB by reference",
      metric: "ns",
      unit: "ns",
      atMost: 300,
    },
  ],
};
export default suite;

if (process.argv[2] === "peer") await peers[process.argv[3]!]!(...process.argv.slice(4));
else if (import.meta.main) await alone(suite);
