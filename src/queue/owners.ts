/** The owners of a queue's slots: who lives, and what the dead have left. */
import type { Owners } from "../segment/owners.ts";
import { bootMs } from "../sys/clock.ts";
import type { QueueContent } from "./queue-content.ts";
import { ownerOf, type Slots, stateOf, TAKEN } from "./slots.ts";

/** A process that has pushed or taken. */
export interface OwnerInfo {
  /** Its number in the queue. */
  readonly owner: number;
  /** Its process, as it said itself: any process that may write the owners' file can name any. */
  readonly pid: number;
  /** Jobs that it has taken. */
  readonly taken: number;
  /** Dead: its jobs go back as soon as another process looks. */
  readonly isAlive: boolean;
}

/**
 * Takes a number that no slot names, and gives back what its last owner has left. Nothing may come between lock and burial.
 * @returns the number
 */
export function becomeOwner({ slots }: QueueContent, owners: Owners): number {
  const named = slots.namedOwners();
  const owner = owners.claim(process.pid, (candidate) => !named.has(candidate));
  slots.bury(owner);
  slots.adoptBoot();
  slots.owner = owner;
  return owner;
}

/** Gives back what an owner has left, if it is dead. Returns how many slots. */
export function buryIfDead({ slots }: QueueContent, owners: Owners, owner: number): number {
  if (!owners.tryLock(owner)) return 0;
  try {
    return slots.bury(owner);
  } finally {
    owners.unlock(owner);
  }
}

/** Gives back what dead owners have left, and jobs whose lease is over. Returns how many. */
export function giveBack(content: QueueContent, owners: Owners): number {
  const { slots, limits } = content;
  let count = 0;
  for (const owner of slots.namedOwners()) count += buryIfDead(content, owners, owner);
  if (limits.leaseMs > 0 && slots.isOfThisBoot) count += slots.breakLeases(limits.leaseMs, bootMs());
  return count;
}

/**
 * The owners that live, and the dead whose jobs have not gone back yet.
 * @param ownOwner the caller's own number, which lives; 0 for none
 */
export function ownersOf({ slots }: QueueContent, owners: Owners, ownOwner: number): OwnerInfo[] {
  const taken = takenByOwner(slots);
  const result: OwnerInfo[] = [];
  for (const [owner, pid] of owners.pids().entries()) {
    if (owner === 0 || pid === 0) continue;
    const isAlive = owner === ownOwner || !isDead(owners, owner);
    const count = taken.get(owner) ?? 0;
    if (isAlive || count > 0) result.push({ owner, pid, taken: count, isAlive });
  }
  return result;
}

/** Since when the job has been taken that was taken first: milliseconds since 1970. */
export function oldestTakenAt(slots: Slots): number | undefined {
  let oldest = Number.POSITIVE_INFINITY;
  for (const slot of slots) {
    const takenAt = stateOf(slots.word(slot)) === TAKEN ? slots.takenAtMs(slot) : 0;
    if (takenAt > 0) oldest = Math.min(oldest, takenAt);
  }
  return Number.isFinite(oldest) ? oldest : undefined;
}

function takenByOwner(slots: Slots): Map<number, number> {
  const taken = new Map<number, number>();
  for (const slot of slots) {
    const word = slots.word(slot);
    if (stateOf(word) === TAKEN) taken.set(ownerOf(word), (taken.get(ownerOf(word)) ?? 0) + 1);
  }
  return taken;
}

function isDead(owners: Owners, owner: number): boolean {
  if (!owners.tryLock(owner)) return false;
  owners.unlock(owner);
  return true;
}
