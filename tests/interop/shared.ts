/** The struct that all languages share in these tests, and its invariant. */
import { closeSync, openSync, readFileSync, writeSync } from "node:fs";
import { join } from "node:path";
import { Publisher } from "../../src/channel/index.ts";
import {
  type Atomic,
  array,
  atomic,
  c_uint32,
  c_uint64,
  field,
  MmapStructure,
  Struct,
} from "../../src/index.ts";
import type { Job, Queue } from "../../src/queue/index.ts";
import { linesOf } from "../support/tools.ts";

/** Every committed state has all of `values` equal to `count`; `hits` counts without a lock. */
export class Ledger extends MmapStructure {
  @field(c_uint64) count!: bigint;
  @field(array(c_uint64, 60)) values!: BigUint64Array;
  @field(atomic(c_uint32)) hits!: Atomic<number>;
  @field(c_uint32) writer!: number;
}

/** Whether a state is one that was committed. */
export const isWhole = ({ count, values }: { count: bigint; values: Iterable<bigint> }): boolean =>
  [...values].every((value) => value === count);

/** A message, or a job: all of `values` are `number`. */
export class Item extends Struct {
  @field(c_uint64) number!: bigint;
  @field(array(c_uint64, 15)) values!: BigUint64Array;
}

/** A whole message, as it was sent. */
export const itemOf = (number: number): { number: bigint; values: bigint[] } => ({
  number: BigInt(number),
  values: Array.from({ length: 15 }, () => BigInt(number)),
});

/** Looks for a job until there is one: who sleeps looks for leases that are over once a second only. */
export async function takeSoon(queue: Queue<Item>): Promise<Job<Item>> {
  for (let job = queue.tryTake(); ; job = queue.tryTake()) {
    if (job !== undefined) return job;
    await Bun.sleep(5);
  }
}

/** A Bun worker takes a job of the queue in `dir`, and is killed with it. */
export async function killedWithAJob(dir: string): Promise<void> {
  const holder = Bun.spawn([process.execPath, join(import.meta.dir, "holder.ts"), dir], { stdout: "pipe" });
  for await (const _ of linesOf(holder.stdout)) break;
  holder.kill("SIGKILL");
  await holder.exited;
}

/** Whether one of those that sleep for commits under a lock watches, as the lock's page has it. */
export const isWatched = (dir: string): boolean =>
  readFileSync(join(dir, "Ledger_.lock-page")).readUInt32LE(140) !== 0;

/** What a subscriber that answers a line says when an older copy is written over its channel, in place. */
export async function setBack(dir: string, command: string[], env = process.env): Promise<unknown[]> {
  using publisher = new Publisher(Item, { dir, create: true, slots: 16 });
  const publish = (count: number): void => {
    for (let i = 0; i < count; i++) publisher.send(itemOf(publisher.index));
  };
  publish(5);
  const copy = readFileSync(publisher.path);
  const peer = Bun.spawn(command, { env, stdin: "pipe", stdout: "pipe", stderr: "inherit" });
  const lines = linesOf(peer.stdout);
  const answers: unknown[] = [];
  const ask = async (): Promise<void> => {
    peer.stdin.write("\n");
    peer.stdin.flush();
    answers.push((await lines.next()).value);
  };
  await ask();
  publish(7);
  await ask();
  const fd = openSync(publisher.path, "r+");
  writeSync(fd, copy, 0, copy.length, 0);
  closeSync(fd);
  await ask();
  await ask();
  peer.stdin.end();
  await peer.exited;
  return answers;
}
