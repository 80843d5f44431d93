/**
 * One publisher at a time. A lease is a key that its holder puts again and again; who wants it takes it over when it has not
 * changed for `leaseMs` by the taker's own clock, so clocks of machines need not agree. Each holder has an epoch, one more
 * than the one before. The lease only tells who may try: what fences is the revision of the value itself.
 */
import { MirrorError } from "../errors/errors.ts";
import { ConflictError, type Transport } from "./transport.ts";

/** What stands in a lease. */
export interface Held {
  readonly epoch: number;
  readonly isReleased: boolean;
  /** For how long a silent holder is waited for; it puts the lease three times as often. */
  readonly leaseMs: number;
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
  readonly #leaseMs: number;
  #revision: number;
  /** Renewals wait for each other: two at once would be each other's conflict. */
  #renewing: Promise<void> = Promise.resolve();

  private constructor(transport: Transport, key: string, held: Held, revision: number) {
    this.#transport = transport;
    this.#key = key;
    this.epoch = held.epoch;
    this.#leaseMs = held.leaseMs;
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
        const mine = { epoch, isReleased: false, leaseMs };
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
    const state = { epoch: this.epoch, isReleased, leaseMs: this.#leaseMs };
    const revision = await tryPut(this.#transport, this.#key, state, this.#revision);
    if (revision !== undefined) {
      this.#revision = revision;
      return;
    }
    const entry = await this.#transport.get(this.#key);
    if (entry === undefined) {
      // The server has lost its memory: the first to put has the key.
      this.#revision = 0;
      return this.#renew(isReleased);
    }
    // A put whose answer got lost.
    if (parseLease(entry.value)?.epoch !== this.epoch) throw new LeaseTaken();
    this.#revision = entry.revision;
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
    const { epoch, isReleased, leaseMs } = held ?? {};
    if (!Number.isSafeInteger(epoch)) return undefined;
    return { epoch: Number(epoch), isReleased: isReleased === true, leaseMs: Number(leaseMs) || 0 };
  } catch {
    return undefined;
  }
}
