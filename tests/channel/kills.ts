/** A channel whose publisher is killed at any instant, or runs as fast as it can; every message tells by itself whether it is whole. */
import { closeSync, ftruncateSync, openSync } from "node:fs";
import { join } from "node:path";
import { Publisher, Subscriber } from "../../src/channel/index.ts";
import { programAt } from "../support/programs.ts";

const PROCESS = programAt(join(import.meta.dir, "../process/channel-kill-child.ts"));

/** Fills a message that tells its index in every word, each in its own way. */
export function fillMessage(words: Uint32Array, index: number): void {
  for (let i = 0; i < words.length; i++) words[i] = Math.imul(index + 1, 2654435761) + i;
}

/** Whether the words are those of one message, and of this one. */
export function isMessage(words: Uint32Array, index: number): boolean {
  const first = Math.imul(index + 1, 2654435761) >>> 0;
  for (let i = 0; i < words.length; i++) if (words[i] !== (first + i) >>> 0) return false;
  return true;
}

export const wordsOf = (bytes: Uint8Array): Uint32Array =>
  new Uint32Array(bytes.buffer, bytes.byteOffset, bytes.byteLength >> 2);

/** How many messages `send()` has returned for: one number, written by the publisher. */
export function openLedger(dir: string): Int32Array {
  const path = join(dir, "ledger");
  const fd = openSync(path, "a+");
  ftruncateSync(fd, 64);
  closeSync(fd);
  const map = Bun.mmap(path, { shared: true });
  return new Int32Array(map.buffer, map.byteOffset, 16);
}

export interface ChannelReport {
  kills: number;
  received: number;
  missed: number;
  torn: number;
  /** Messages for which `send()` had returned and that are not among those published. */
  lost: number;
  /** Whether received and missed are all that were published. */
  addsUp: boolean;
}

/** Kills the publisher again and again while this process receives. */
export async function killRun(dir: string, kills: number, bytes = 256): Promise<ChannelReport> {
  const options = { dir, create: true, slots: 16, payloadBytes: bytes };
  new Publisher(Uint8Array, options).close();
  using subscriber = new Subscriber(Uint8Array, { dir, from: "oldest" });
  const counts = { received: 0, missed: 0, torn: 0 };
  let seed = 5;
  for (let killed = 0; killed < kills; killed++) {
    const publisher = Bun.spawn([process.execPath, PROCESS, dir], { stdout: "pipe", stderr: "inherit" });
    await publisher.stdout.getReader().read();
    seed = (Math.imul(seed, 1103515245) + 12345) >>> 0;
    const end = performance.now() + 1 + (seed / 2 ** 32) * 12;
    // On a busy machine it may have published nothing by then.
    const enough = counts.received + 2;
    while (performance.now() < end || counts.received < enough) receiveSome(subscriber, counts);
    publisher.kill(9);
    await publisher.exited;
  }
  while (receiveSome(subscriber, counts) > 0);
  const acknowledged = openLedger(dir)[0]!;
  const { published } = subscriber;
  return {
    kills,
    ...counts,
    lost: Math.max(0, acknowledged - published),
    addsUp: counts.received + counts.missed === published,
  };
}

function receiveSome(
  subscriber: Subscriber<Uint8Array>,
  counts: { received: number; missed: number; torn: number },
): number {
  let count = 0;
  for (; count < 1000; count++) {
    const message = subscriber.receive();
    if (message === undefined) return count;
    counts.received++;
    counts.missed += message.missed;
    if (!isMessage(wordsOf(message.data), message.index)) counts.torn++;
  }
  return count;
}

/** On a busy machine a publisher does not run for a while: so long it is waited for. */
const UNTIL_TORN_MS = 120_000;
const PEEK_SLOTS = 2;

/** Looks at messages in place, with or without the look afterwards: how many were torn among so many. */
export async function peekRun(
  dir: string,
  bytes: number,
  seconds: number,
): Promise<{ whole: number; torn: number; control: number }> {
  new Publisher(Uint8Array, { dir, create: true, slots: PEEK_SLOTS, payloadBytes: bytes }).close();
  const publisher = Bun.spawn([process.execPath, PROCESS, dir], { stdout: "pipe", stderr: "inherit" });
  await publisher.stdout.getReader().read();
  using subscriber = new Subscriber(Uint8Array, { dir });
  const result = { whole: 0, torn: 0, control: 0 };
  const copy = new Uint8Array(bytes);
  const isSeen = (): boolean => result.control > 0 && result.whole + result.control > 10;
  const end = performance.now() + seconds * 1000;
  const limit = end + UNTIL_TORN_MS;
  for (let turn = 0; performance.now() < (isSeen() ? end : limit); turn++) {
    let index = -1;
    const isWhole = subscriber.peek((view, message) => {
      index = message.index;
      copy.set(view.subarray(0, bytes / 2));
      // Each second message is overwritten meanwhile: where the two share a core they do not run at the same time.
      const overwritten = turn % 2 === 0 ? 0 : index + PEEK_SLOTS + 1;
      while (subscriber.published < overwritten && performance.now() < limit);
      copy.set(view.subarray(bytes / 2), bytes / 2);
    });
    if (index < 0) continue;
    const isTorn = !isMessage(wordsOf(copy), index);
    if (isTorn) result.control++;
    if (!isWhole) continue;
    result.whole++;
    if (isTorn) result.torn++;
  }
  publisher.kill(9);
  await publisher.exited;
  return result;
}

/** What the child does. */
export function publish(dir: string): void {
  const publisher = new Publisher(Uint8Array, { dir, waitMs: 60_000, clear: false });
  const ledger = openLedger(dir);
  console.log("ready");
  for (;;) {
    publisher.send((bytes) => fillMessage(wordsOf(bytes), publisher.index));
    Atomics.store(ledger, 0, publisher.index);
  }
}
