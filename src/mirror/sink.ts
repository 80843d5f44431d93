/** What a follower's sinks have in common: those that store one message or job after the other. */
import type { MirrorState } from "../segment/mirror-state.ts";
import type { Trust } from "../sys/trust.ts";
import type { Frame } from "./frame.ts";
import type { Transport } from "./transport.ts";

/** How long a sink waits for the lock of its file, in milliseconds, before it says so and tries again. */
export const LOCK_TIMEOUT_MS = 1000;

export interface Sink {
  /** Messages that were missed, jobs in hand. */
  readonly figures: { readonly missed?: number; readonly jobs?: number };
  /** Whether it stores what that frame is about. */
  isFor(frame: Frame): boolean;
  /** Stores what comes, until the signal. @throws when it must be made again */
  run(signal: AbortSignal): Promise<void>;
  close(): void;
}

/** What a sink begins with. */
export interface SinkParts {
  readonly path: string;
  readonly key: string;
  readonly mode: number;
  readonly trust: Trust;
  readonly transport: Transport;
  /** What the key says of the origin. */
  readonly frame: Frame;
  /** What the one before has noted. */
  readonly state: MirrorState | undefined;
  /** Milliseconds, of a queue. */
  readonly ackWaitMs: number;
  readonly prefetch: number;
  /** A larger file is not made: the bucket says how large it is to be. */
  readonly maxBytes: number | undefined;
  stored(version: number, sentAt: number | undefined): void;
  failed(error: unknown): void;
  note(state: Partial<MirrorState>): void;
}
