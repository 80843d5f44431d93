/** What the bucket and the logs of one connection have in common. */
import type { JetStreamClient, JetStreamManager } from "@nats-io/jetstream";
import type { KV } from "@nats-io/kv";
import type { NatsConnection } from "@nats-io/transport-node";
import { ConflictError } from "./transport.ts";

/** A connection and what is used of it; several mirrors may share one. */
export interface NatsShared {
  readonly nats: NatsConnection;
  readonly js: JetStreamClient;
  readonly jsm: JetStreamManager;
  readonly kv: KV;
  readonly bucket: string;
  readonly replicas: number;
  users: number;
}

/** What a connection does for those who use it. */
export interface Link {
  readonly disconnectedSince: number | undefined;
  /** What is watched is ended when the connection is lost, until this is disposed of. */
  opened(watch: { stop(): void }): Disposable;
  /** A request; it is given up at once when the connection is lost, instead of when its time is over. @throws DisconnectedError */
  ask<T>(request: () => Promise<T>): Promise<T>;
}

/** There is no connection, or it was lost before the answer came. */
export class DisconnectedError extends Error {
  override readonly name = "DisconnectedError";
}

/**
 * Requests that are under way, each of which is given up when the connection is lost. Not a race with one promise of that:
 * it would keep something of every request that there ever was.
 */
export class Requests {
  readonly #open = new Set<(reason: Error) => void>();

  get count(): number {
    return this.#open.size;
  }

  ask<T>(request: () => Promise<T>): Promise<T> {
    const { promise, resolve, reject } = Promise.withResolvers<T>();
    this.#open.add(reject);
    const ended = (): void => void this.#open.delete(reject);
    Promise.try(request).then(resolve, reject).finally(ended);
    return promise;
  }

  giveUp(reason: Error): void {
    for (const reject of this.#open) reject(reason);
    this.#open.clear();
  }
}

/** A request whose answer does not come. */
export const REQUEST_TIMEOUT_MS = 5000;
/** The slowest link that is waited for. */
const LEAST_BYTES_A_MS = 50;

/** How long a put of so many bytes may take. */
export const timeoutFor = (bytes: number): number => REQUEST_TIMEOUT_MS + bytes / LEAST_BYTES_A_MS;

/** JetStream's "stream not found" and "consumer not found". */
const MISSING: readonly unknown[] = [10059, 10014];
/** JetStream's "wrong last sequence", of one server and of a cluster. */
const CONFLICTS: readonly unknown[] = [10071, 10164];

const codeOf = (error: unknown): unknown => (error as { code?: unknown }).code;

export const isMissing = (error: unknown): boolean => MISSING.includes(codeOf(error));

/** Tells a wrong revision or sequence from all other errors. @throws ConflictError */
export async function orConflict<T>(request: Promise<T>, key: string): Promise<T> {
  try {
    return await request;
  } catch (error) {
    if (CONFLICTS.includes(codeOf(error))) throw new ConflictError(key);
    throw error;
  }
}
