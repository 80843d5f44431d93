import { describe, expect, test } from "bun:test";
import { ftruncateSync, openSync } from "node:fs";
import { join } from "node:path";
import {
  attemptOf,
  FREE,
  initSlots,
  inOrder,
  READY,
  Slots,
  slotsBytes,
  slotsGeometry,
  stateOf,
  TAKEN,
  WRITING,
} from "../../src/queue/slots.ts";
import { planSlots } from "../../src/segment/slot-geometry.ts";
import { Mapping } from "../../src/sys/mapping.ts";
import { temporaryDirectory } from "../support/temporary.ts";

const geometry = planSlots(4, 8, 1024);

/** The same queue for several owners. */
function queue(...owners: number[]): Slots[] {
  const bytes = new Uint8Array(slotsBytes(geometry));
  initSlots(bytes, geometry, { maxAttempts: 3, leaseMs: 50 });
  return owners.map((owner) => {
    const slots = new Slots(bytes, geometry);
    slots.owner = owner;
    return slots;
  });
}

function push(slots: Slots, value: number): number {
  const slot = slots.claim();
  if (slot < 0) return slot;
  slots.payload(slot).fill(value);
  slots.publish(slot, 8);
  return slot;
}

/** Takes a job and tells its lease. */
function take(slots: Slots): { slot: number; lease: number; value: number } | undefined {
  const slot = slots.take();
  if (slot < 0) return undefined;
  return { slot, lease: slots.lease, value: slots.payload(slot)[0]! };
}

test("a queue works with slots of a gigabyte each, to the end of a mapping of 4 GiB", () => {
  using directory = temporaryDirectory();
  const large = planSlots(4, 2 ** 30 - 4096, 1024);
  // A file with holes: only what is touched takes memory.
  const fd = openSync(join(directory.path, "queue"), "w+");
  ftruncateSync(fd, slotsBytes(large));
  using mapping = Mapping.map(fd, { byteLength: slotsBytes(large) });
  const bytes = new Uint8Array(mapping.buffer);
  initSlots(bytes, large, { maxAttempts: 0, leaseMs: 0 });
  const slots = new Slots(bytes, large);
  slots.owner = 1;
  for (let value = 1; value <= 4; value++) {
    const slot = slots.claim();
    slots.payload(slot)[2 ** 30 - 4097] = value;
    slots.publish(slot, 2 ** 30 - 4096);
  }
  expect([slots.claim(), bytes.at(-1)]).toEqual([-1, 4]);
  for (let value = 1; value <= 4; value++) {
    const slot = slots.take();
    expect([slots.payload(slot).at(-1), slots.done(slot, slots.lease)]).toEqual([value, true]);
  }
});

describe("push, take, done", () => {
  test("jobs come in order, and their number is bounded", () => {
    const [a] = queue(1);
    expect([1, 2, 3, 4, 5].map((value) => push(a!, value) >= 0)).toEqual([true, true, true, true, false]);
    const values: number[] = [];
    for (let job = take(a!); job !== undefined; job = take(a!)) {
      values.push(job.value);
      expect(a!.done(job.slot, job.lease)).toBe(true);
    }
    expect(values).toEqual([1, 2, 3, 4]);
    for (let round = 0; round < 20_000; round++) {
      push(a!, round);
      const job = take(a!)!;
      expect(job.value).toBe(round & 255);
      a!.done(job.slot, job.lease);
    }
    expect(a!.counts()).toEqual({ free: 4, writing: 0, ready: 0, delayed: 0, taken: 0 });
  });

  test("a job that takes long blocks no other slot", () => {
    const [a, b] = queue(1, 2);
    push(a!, 1);
    const long = take(a!)!;
    for (let value = 0; value < 100; value++) {
      push(a!, value);
      const job = take(b!)!;
      expect(job.value).toBe(value);
      expect(b!.done(job.slot, job.lease)).toBe(true);
    }
    expect(a!.done(long.slot, long.lease)).toBe(true);
  });

  test("release keeps the attempt, fail counts it, and a job ends only once", () => {
    const [a] = queue(1);
    push(a!, 7);
    const first = take(a!)!;
    expect(a!.release(first.slot, first.lease)).toBe(true);
    const second = take(a!)!;
    expect(attemptOf(second.lease)).toBe(0);
    expect(a!.fail(second.slot, second.lease, 0, 0)).toBe(true);
    expect(a!.done(second.slot, second.lease)).toBe(false);
    expect(attemptOf(take(a!)!.lease)).toBe(1);
  });

  test("a delayed job is not taken before its time", () => {
    const [a] = queue(1);
    const slot = a!.claim();
    a!.publish(slot, 8, { notBefore: [0, 0x7fff_ffff] });
    expect(take(a!)).toBeUndefined();
    expect(a!.counts()).toMatchObject({ ready: 0, delayed: 1 });
    expect(a!.dueMs).toBeGreaterThan(1e12);
  });
});

describe("the dead", () => {
  test("a dead producer's half-written slot is free again, a dead worker's job is ready with one attempt more", () => {
    const [dead, other] = queue(1, 2);
    push(other!, 1);
    const job = take(dead!)!;
    const written = dead!.claim();
    expect([...other!.namedOwners()]).toEqual([1]);
    expect(other!.bury(1)).toBe(2);
    expect([stateOf(other!.word(written)), stateOf(other!.word(job.slot))]).toEqual([FREE, READY]);
    expect(dead!.done(job.slot, job.lease)).toBe(false);
    expect(attemptOf(take(other!)!.lease)).toBe(1);
  });

  test("a job whose lease is over is another's, and the first worker is told", () => {
    const [slow, other] = queue(1, 2);
    push(other!, 1);
    const job = take(slow!)!;
    expect(other!.breakLeases(50, slow!.takenAtBootMs(job.slot) + 49)).toBe(0);
    expect(other!.breakLeases(50, slow!.takenAtBootMs(job.slot) + 50)).toBe(1);
    // Otherwise the next worker's lease would seem to be over until it has noted the time.
    expect(other!.takenAtBootMs(job.slot)).toBe(0);
    expect(take(other!)).toBeDefined();
    expect(slow!.done(job.slot, job.lease)).toBe(false);
    expect(slow!.extend(job.slot, job.lease)).toBe(false);
  });

  test("the lease of a worker that has not noted the time yet is not over", () => {
    const [slow, other] = queue(1, 2);
    push(other!, 1);
    const job = take(slow!)!;
    slow!.words[job.slot + 6] = 0;
    slow!.words[job.slot + 7] = 0;
    expect(other!.breakLeases(1, Number.MAX_SAFE_INTEGER)).toBe(0);
    // Should it have died there with its process alive, in another thread, the lease begins at that look.
    expect(other!.takenAtBootMs(job.slot)).toBeGreaterThan(0);
  });

  test("leases go by the time since the machine was started, as in /proc/uptime", async () => {
    const [worker] = queue(1);
    push(worker!, 1);
    const now = async () => [Number.parseFloat(await Bun.file("/proc/uptime").text()), Date.now() / 1000];
    const [before, { slot }, after] = [await now(), take(worker!)!, await now()];
    for (const [i, takenAt] of [worker!.takenAtBootMs(slot), worker!.takenAtMs(slot)].entries()) {
      // Half a second around it, as the clock of the kernel's text is coarse.
      expect(takenAt / 1000).toBeGreaterThan(before[i]! - 0.5);
      expect(takenAt / 1000).toBeLessThan(after[i]! + 0.5);
    }
  });

  test("a lease of an earlier start of the machine tells no time until an owner comes", async () => {
    const [worker] = queue(1);
    push(worker!, 1);
    const { slot } = take(worker!)!;
    const id = (await Bun.file("/proc/sys/kernel/random/boot_id").text()).replaceAll("-", "").slice(0, 16);
    const { buffer, byteOffset } = worker!.words;
    const inFile = new Uint8Array(buffer, byteOffset + 40, 8);
    expect(inFile.toHex()).toBe(id);
    inFile[0]! ^= 1;
    expect([worker!.isOfThisBoot, worker!.takenAtMs(slot)]).toEqual([false, 0]);
    worker!.adoptBoot();
    expect([worker!.isOfThisBoot, inFile.toHex()]).toEqual([true, id]);
  });
});

describe("freezing", () => {
  test("in a frozen file no call succeeds, and the jobs are saved in order", () => {
    const [a, b] = queue(1, 2);
    for (const value of [1, 2, 3]) push(a!, value);
    const job = take(b!)!;
    const saved = [...a!].map((slot) => a!.freeze(slot)!);
    expect(push(a!, 9)).toBe(-1);
    expect(take(a!)).toBeUndefined();
    expect(b!.done(job.slot, job.lease)).toBe(false);
    const jobs = inOrder(saved);
    expect(jobs.map(({ word, payload }) => [stateOf(word), payload[0]])).toEqual([
      [TAKEN, 1],
      [READY, 2],
      [READY, 3],
    ]);

    const larger = planSlots(8, 16, 1024);
    const bytes = new Uint8Array(slotsBytes(larger));
    initSlots(bytes, larger, { maxAttempts: 0, leaseMs: 0 });
    const moved = new Slots(bytes, larger, 1);
    moved.owner = 2;
    moved.restore(jobs);
    const ticket = { ticketLow: b!.ticketLow(job.slot), ticketHigh: b!.ticketHigh(job.slot) };
    const found = moved.find({ lease: job.lease, ...ticket });
    expect(moved.done(found, job.lease)).toBe(true);
    expect([take(moved)?.value, take(moved)?.value, take(moved)]).toEqual([2, 3, undefined]);
    push(moved, 4);
    expect(take(moved)?.value).toBe(4);
  });

  test("freezing waits for a producer that is at work", () => {
    const [a] = queue(1);
    const slot = a!.claim();
    expect(a!.freeze(slot)).toBeUndefined();
    a!.publish(slot, 8);
    expect(stateOf(a!.freeze(slot)!.word)).toBe(READY);
  });

  test("a thawed file is as before, but taken jobs are ready", () => {
    const [a] = queue(1);
    push(a!, 1);
    push(a!, 2);
    take(a!);
    for (const slot of a!) a!.freeze(slot);
    expect(a!.isFrozen).toBe(true);
    expect(a!.thaw()).toBe(4);
    expect(a!.counts()).toMatchObject({ free: 2, ready: 2 });
    expect([take(a!)?.value, take(a!)?.value]).toEqual([2, 1]);
  });
});

describe("hostile content", () => {
  test("a queue with a damaged geometry is refused", () => {
    for (const [word, value] of [
      [0, 3],
      [0, 2 ** 21],
      [3, 5],
      [6, 10],
    ] as const) {
      const [a] = queue(1);
      a!.words[word] = value;
      const bytes = new Uint8Array(a!.words.buffer);
      expect(() =>
        slotsGeometry(bytes, (reason) => {
          throw new Error(reason);
        }),
      ).toThrow();
    }
  });

  test("with any words in the file calls end, and lengths are clamped", () => {
    let seed = 3;
    const random = (): number => {
      seed = (Math.imul(seed, 1103515245) + 12345) | 0;
      return seed;
    };
    for (let round = 0; round < 300; round++) {
      const [a] = queue(1);
      const { words } = a!;
      for (let i = 16; i < words.length; i++)
        if ((random() & 7) === 0) words[i] = random() >> (random() & 31);
      for (let i = 0; i < 6; i++) {
        push(a!, i);
        const slot = a!.take();
        if (slot >= 0) expect(a!.length(slot)).toBeLessThanOrEqual(8);
      }
      for (const owner of a!.namedOwners()) a!.bury(owner);
      a!.breakLeases(1, 1e13);
      a!.copyJobs();
      a!.counts();
    }
  });

  test("a claimed slot is in the state of writing", () => {
    const [a] = queue(1);
    expect(stateOf(a!.word(a!.claim()))).toBe(WRITING);
  });
});
