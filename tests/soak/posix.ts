/**
 * By hand: `bun tests/soak/posix.ts [rounds]` (default 100,000).
 *
 * Rounds of create, use, close and unlink of every POSIX object, after which descriptors, mappings and memory must be
 * what they were; then messages and units between two processes while callers abort, none of which may be lost;
 * then how long it takes from a release or send in one process to the answer in another.
 */
import { readdirSync, readFileSync } from "node:fs";
import { MessageQueue, Semaphore, SharedMemory } from "../../src/posix/index.ts";

const rounds = Number(process.argv[2] ?? 100_000);
const seed = Number(process.env.SEED ?? Date.now() % 1_000_000);

function footprint() {
  Bun.gc(true);
  return {
    descriptors: readdirSync("/proc/self/fd").length,
    mappings: readFileSync("/proc/self/maps", "utf8")
      .split("\n")
      .filter((line) => line.includes("/dev/shm")).length,
    objects: readdirSync("/dev/shm").filter((file) => /^(sem.)?bun-/.test(file)).length,
    megabytes: Math.round(process.memoryUsage.rss() / 2 ** 20),
  };
}

function oneRound() {
  using semaphore = new Semaphore({ name: null, initialValue: 1 });
  semaphore.acquire(0);
  semaphore.unlink();
  using queue = new MessageQueue({ name: null, maxMessages: 2, maxMessageSize: 64 });
  queue.send("message");
  queue.receive();
  queue.unlink();
  using memory = new SharedMemory({ name: null, size: 100 });
  using map = memory.map();
  map.bytes[0] = 1;
  memory.unlink();
}

/** A round in which somebody waits, is told, and gives up. */
async function oneAsyncRound() {
  using queue = new MessageQueue({ name: null, maxMessages: 2, maxMessageSize: 64 });
  queue.unlink();
  queue.requestNotification(() => {});
  const controller = new AbortController();
  const aborted = queue.receiveAsync({ signal: controller.signal }).catch(() => {});
  const received = queue.receiveAsync();
  controller.abort();
  queue.send("message");
  await aborted;
  await received;
}

async function leaks() {
  for (let i = 0; i < 100; i++) {
    oneRound();
    await oneAsyncRound();
  }
  const before = footprint();
  const began = performance.now();
  for (let i = 0; i < rounds; i++) {
    oneRound();
    if (i % 10 === 0) await oneAsyncRound();
  }
  const after = footprint();
  console.log(`${rounds} rounds in ${((performance.now() - began) / 1000).toFixed(1)} s`, { before, after });
  for (const key of ["descriptors", "mappings", "objects"] as const) {
    if (after[key] !== before[key]) throw new Error(`${key} leak: ${before[key]} became ${after[key]}`);
  }
  if (after.megabytes > before.megabytes + 50) throw new Error("memory leaks");
}

let state = seed;
/** A small generator, so that a seed repeats a run. */
function random(below: number): number {
  state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
  return Math.floor((state / 2 ** 32) * below);
}

async function nothingIsLost(count: number) {
  using queue = new MessageQueue({ name: null, maxMessages: 8, maxMessageSize: 64 });
  using semaphore = new Semaphore({ name: null });
  const sender = Bun.spawn([
    process.execPath,
    import.meta.path,
    "send",
    queue.name,
    semaphore.name,
    String(count),
  ]);
  let [next, units, aborts] = [0, 0, 0];
  while (next < count || units < count) {
    const controller = new AbortController();
    const timer = setTimeout(() => controller.abort(), random(4));
    const { signal } = controller;
    const wait = random(2) === 0 ? queue.receiveAsync({ signal }) : semaphore.acquireAsync({ signal });
    await wait.then(
      (received) => {
        if (received === undefined) units += 1;
        else if (Number(new TextDecoder().decode(received[0])) !== next++)
          throw new Error(`message ${next} is missing`);
      },
      (error) => {
        if (!signal.aborted) throw error;
        aborts += 1;
      },
    );
    clearTimeout(timer);
  }
  await sender.exited;
  queue.unlink();
  semaphore.unlink();
  if (queue.currentMessages !== 0 || semaphore.value !== 0) throw new Error("something is left over");
  console.log(`${count} messages and units against ${aborts} aborts: none lost, none twice (SEED=${seed})`);
}

async function send(queueName: string, semaphoreName: string, count: number) {
  using queue = new MessageQueue({ name: queueName });
  using semaphore = new Semaphore({ name: semaphoreName });
  for (let i = 0; i < count; i++) {
    semaphore.release();
    await queue.sendAsync(String(i));
    if (i % 16 === 0) await Bun.sleep(1);
  }
}

/** There and back between two processes that both wait in the same way. */
async function latency(how: "blocking" | "async") {
  using there = new Semaphore({ name: null });
  using back = new Semaphore({ name: null });
  using request = new MessageQueue({ name: null, maxMessages: 2, maxMessageSize: 64 });
  using answer = new MessageQueue({ name: null, maxMessages: 2, maxMessageSize: 64 });
  const names = [there, back, request, answer].map(({ name }) => name);
  const peer = Bun.spawn([process.execPath, import.meta.path, "echo", how, ...names], { stdout: "inherit" });
  await there.acquireAsync();
  const measure = async (what: string, turn: () => unknown) => {
    const times: number[] = [];
    for (let i = 0; i < ECHOES; i++) {
      const began = performance.now();
      await turn();
      times.push((performance.now() - began) * 1000);
      await Bun.sleep(1 + random(5));
    }
    times.sort((a, b) => a - b);
    console.log(
      `${how} ${what} there and back: p50 ${times[ECHOES >> 1]!.toFixed(0)} us, p90 ${times[Math.floor(ECHOES * 0.9)]!.toFixed(0)} us`,
    );
  };
  await measure("semaphore", () => {
    back.release();
    return how === "async" ? there.acquireAsync() : there.acquire();
  });
  await measure("queue", () => {
    request.send("x");
    return how === "async" ? answer.receiveAsync() : answer.receive();
  });
  await peer.exited;
  for (const object of [there, back, request, answer]) object.unlink();
}

const ECHOES = 300;

async function echo(how: string, [thereName, backName, requestName, answerName]: string[]) {
  using there = new Semaphore({ name: thereName! });
  using back = new Semaphore({ name: backName! });
  using request = new MessageQueue({ name: requestName! });
  using answer = new MessageQueue({ name: answerName! });
  there.release();
  for (let i = 0; i < ECHOES; i++) {
    if (how === "async") await back.acquireAsync();
    else back.acquire();
    there.release();
  }
  for (let i = 0; i < ECHOES; i++) {
    if (how === "async") await request.receiveAsync();
    else request.receive();
    answer.send("y");
  }
}

const [command, ...args] = process.argv.slice(2);
if (command === "send") await send(args[0]!, args[1]!, Number(args[2]));
else if (command === "echo") await echo(args[0]!, args.slice(1));
else {
  await leaks();
  await nothingIsLost(Math.min(rounds, 20_000));
  await latency("blocking");
  await latency("async");
}
