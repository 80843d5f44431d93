/** What a publisher's sources have in common: the lease, the value of the key, and tries while the server is away. */
import { ShmError } from "../errors/errors.ts";
import { decodeFrame } from "./frame.ts";
import { type Lease, LeaseTaken } from "./lease.ts";
import { ConflictError, type Transport } from "./transport.ts";
import { sleepOr } from "./wait.ts";

/** Between two tries while the server is away. */
const RETRY_MS = 200;

/** One kind of content on its way to the bucket. */
export interface Source {
  /** How far the file has come. */
  readonly version: number;
  /** Sends what there is, and what comes, until the session's signal. */
  run(): Promise<void>;
  /** After `run` has ended. */
  close(): void;
}

export class Session {
  readonly transport: Transport;
  readonly key: string;
  readonly lease: Lease;
  readonly signal: AbortSignal;
  /** Of the value in the bucket. */
  #revision: number;
  readonly #confirmed: (version: number) => void;

  constructor(
    { transport, key, lease, revision }: SessionParts,
    signal: AbortSignal,
    confirmed: (version: number) => void,
  ) {
    this.transport = transport;
    this.key = key;
    this.lease = lease;
    this.signal = signal;
    this.#revision = revision;
    this.#confirmed = confirmed;
  }

  /** The bucket has it up to this version. */
  confirm(version: number): void {
    this.#confirmed(version);
  }

  /** Puts the key's value. @throws LeaseTaken; what the transport throws while it is cut off */
  async put(frame: Uint8Array): Promise<void> {
    for (;;) {
      try {
        this.#revision = await this.transport.put(this.key, frame, this.#revision);
        return;
      } catch (error) {
        if (!(error instanceof ConflictError)) throw error;
        await this.#resolveConflict();
      }
    }
  }

  /** The value has another revision: a put of ours whose answer got lost, one of the publisher before us, or we are fenced. */
  async #resolveConflict(): Promise<void> {
    const entry = await this.transport.get(this.key);
    if (entry !== undefined && epochOf(entry.value) > this.lease.epoch) throw new LeaseTaken();
    await this.lease.renew();
    this.#revision = entry?.revision ?? 0;
  }

  /** Tries again while the server is away. Undefined after the signal. @throws LeaseTaken; ShmError that `attempt` throws */
  async retry<T>(attempt: () => Promise<T>): Promise<T | undefined> {
    while (!this.signal.aborted) {
      try {
        return await attempt();
      } catch (error) {
        if (error instanceof ShmError || error instanceof LeaseTaken) throw error;
      }
      await sleepOr(this.signal, RETRY_MS);
      // A server may have lost its memory.
      await this.transport.life().catch(() => undefined);
    }
    return undefined;
  }
}

/** What a session begins with. */
export interface SessionParts {
  readonly transport: Transport;
  readonly key: string;
  readonly lease: Lease;
  /** Of the key's value. */
  readonly revision: number;
}

/** Nonsense in the bucket is older than all. */
export function epochOf(frame: Uint8Array): number {
  try {
    return decodeFrame(frame).head.epoch;
  } catch {
    return 0;
  }
}
