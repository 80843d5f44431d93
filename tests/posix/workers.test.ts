/** What a worker has open is given back when it is terminated, and waits end under fake timers. */
import { afterEach, expect, jest, setDefaultTimeout, test } from "bun:test";
import { join } from "node:path";
import { BusyError, MessageQueue, O_CREAT, Semaphore, SharedMemory } from "../../src/posix/index.ts";
import { descriptorsOf, mappingsOf } from "../support/resources.ts";

setDefaultTimeout(240_000);

const LIBRARY = JSON.stringify(join(import.meta.dir, "../../src"));

afterEach(() => {
  jest.useRealTimers();
});

test("a terminated worker gives back its semaphore, queue, shared memory and maps", async () => {
  const name = `/workers-${process.pid}`;
  using memory = new SharedMemory({ name, flags: O_CREAT, size: 4096 });
  // Another name: musl keeps semaphores beside shared memory.
  using semaphore = new Semaphore({ name: `${name}-s`, flags: O_CREAT });
  const source = `
    const { MessageQueue, O_CREAT, Semaphore, SharedMemory } = await import(${LIBRARY} + "/posix/index.ts");
    const { MemoryMap } = await import(${LIBRARY} + "/mmap/index.ts");
    const name = ${JSON.stringify(name)};
    const memory = new SharedMemory({ name });
    globalThis.kept = [memory, memory.map(), new Semaphore({ name: name + "-s" }), new MessageQueue({ name, flags: O_CREAT })];
    // Without this the worker ends by itself.
    setInterval(() => {}, 1000);
    postMessage("open");`;
  const open = (): number[] => [descriptorsOf(name), mappingsOf(name)];
  const before = open();
  const worker = new Worker(URL.createObjectURL(new Blob([source])));
  await new Promise((resolve) => {
    worker.onmessage = resolve;
  });
  const during = open();
  expect(during[0]).toBeGreaterThanOrEqual(before[0]! + 3);
  expect(during[1]).toBeGreaterThan(before[1]!);
  worker.terminate();
  for (let waits = 0; waits < 6000 && String(open()) !== String(before); waits++) await Bun.sleep(10);
  expect(open()).toEqual(before);
  semaphore.unlink();
  memory.unlink();
  using queue = new MessageQueue({ name });
  queue.unlink();
});

test("timeouts of POSIX objects end under fake timers", async () => {
  using semaphore = new Semaphore({ name: null, flags: O_CREAT });
  using queue = new MessageQueue({ name: null, flags: O_CREAT });
  jest.useFakeTimers();
  expect(() => semaphore.acquire({ timeoutMs: 5 })).toThrow(BusyError);
  expect(() => queue.receive({ timeoutMs: 5 })).toThrow(BusyError);
  await expect(semaphore.acquireAsync({ timeoutMs: 5 })).rejects.toThrow(BusyError);
  await expect(queue.receiveAsync({ timeoutMs: 5 })).rejects.toThrow(BusyError);
  semaphore.unlink();
  queue.unlink();
});
