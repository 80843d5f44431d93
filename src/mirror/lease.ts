/**
 * One publisher at a time. A lease is a key that its holder puts again and again; who wants it takes it over when it has not
 * changed for `leaseMs` by the taker's own clock, so clocks of machines need not agree. Each holder has an epoch, one more
 * than the one before. The lease only tells who may try: what fences is the revision of the value itself.
 */
import { randomUUID } from "node:crypto";
import { MirrorError } from "../errors/errors.ts";
import { ConflictError, type Transport } from "./transport.ts";

/** What stands in a lease. */
export interface Held {
  readonly epoch: number;
  readonly isReleased: boolean;
  /** For how long a silent holder is waited for; it puts the lease three times as often. */
  readonly leaseMs: number;
  /** Tells holders of one epoch apart, which there may be after a server has lost its memory. */
  readonly holder: string;
}

export interface LeaseOptions {
  readonly leaseMs: number;
  /** Milliseconds to wait for a lease that another process holds. */
  readonly waitMs: number;
}

/** Another process has the lease now. */
export class LeaseTaken extends Error {}

export class Lease {
  readonly epoch: number;
  readonly #transport: Transport;
  readonly #key: string;
  readonly #held: Held;
  #revision: number;
  /** Renewals wait for each other: two at once would be each other's conflict. */
  #renewing: Promise<void> = Promise.resolve();

  private constructor(transport: Transport, key: string, held: Held, revision: number) {
    this.#transport = transport;
    this.#key = key;
    this.epoch = held.epoch;
    this.#held = held;
    this.#revision = revision;
  }

  /**
   * @param leastEpoch of the values that are there
   * @throws MirrorError when another process holds it for longer than `waitMs`
   */
  static async take(
    transport: Transport,
    key: string,
    leastEpoch: number,
    { leaseMs, waitMs }: LeaseOptions,
  ): Promise<Lease> {
    const begun = performance.now();
    let seen = { revision: -1, at: begun };
    for (;;) {
      const entry = await transport.get(key);
      const held = entry === undefined ? undefined : parseLease(entry.value);
      const revision = entry?.revision ?? 0;
      const now = performance.now();
      if (revision !== seen.revision) seen = { revision, at: now };
      const isFree = held === undefined || held.isReleased || now - seen.at >= leaseMs;
      if (isFree) {
        const epoch = Math.max(held?.epoch ?? 0, leastEpoch) + 1;
        const mine = { epoch, isReleased: false, leaseMs, holder: randomUUID() };
        const taken = await tryPut(transport, key, mine, revision);
        if (taken !== undefined) return new Lease(transport, key, mine, taken);
        continue;
      }
      if (now - begun >= waitMs)
        throw new MirrorError(
          `another process publishes this key (epoch ${held.epoch}, its lease was renewed within ${leaseMs} ms): follow it, or wait longer with waitMs`,
        );
      await Bun.sleep(Math.min(leaseMs / 4, 250));
    }
  }

  /** @throws LeaseTaken; what the transport throws while it is cut off */
  renew(isReleased = false): Promise<void> {
    const renewed = this.#renewing.then(() => this.#renew(isReleased));
    this.#renewing = renewed.catch(() => undefined);
    return renewed;
  }

  async #renew(isReleased: boolean): Promise<void> {
    const state = { ...this.#held, isReleased };
    const revision = await tryPut(this.#transport, this.#key, state, this.#revision);
    if (revision !== undefined) {
      this.#revision = revision;
      return;
    }
    const entry = await this.#transport.get(this.#key);
    const found = entry && parseLease(entry.value);
    if (found !== undefined && this.#isLostTo(found)) throw new LeaseTaken();
    // A put whose answer got lost, or a server that has lost its memory or is behind: the next renewal tells.
    const isOurs = found?.holder === this.#held.holder && !isReleased;
    this.#revision = entry?.revision ?? 0;
    if (!isOurs) throw new Error("the lease has another revision than was thought");
  }

  #isLostTo({ epoch, holder }: Held): boolean {
    return epoch > this.epoch || (epoch === this.epoch && holder !== this.#held.holder);
  }
}

async function tryPut(
  transport: Transport,
  key: string,
  held: Held,
  revision: number,
): Promise<number | undefined> {
  try {
    return await transport.put(key, Buffer.from(JSON.stringify(held)), revision);
  } catch (error) {
    if (error instanceof ConflictError) return undefined;
    throw error;
  }
}

/** Nonsense is a lease that no one holds. */
export function parseLease(value: Uint8Array): Held | undefined {
  try {
    const held = JSON.parse(Buffer.from(value).toString()) as Partial<Held> | null;
    const { epoch, isReleased, leaseMs, holder } = held ?? {};
    if (!Number.isSafeInteger(epoch)) return undefined;
    return {
      epoch: Number(epoch),
      isReleased: isReleased === true,
      leaseMs: Number(leaseMs) || 0,
      holder: String(holder),
    };
  } catch {
    return undefined;
  }
}
