/** What a mirror needs of an engine. Another engine is added by another implementation. */

/** A value of the engine, and which of its revisions it is. */
export interface Entry {
  readonly value: Uint8Array;
  /** Grows with every put of any key. */
  readonly revision: number;
}

/** Another process has put the key since, or has appended to the log. */
export class ConflictError extends Error {
  override readonly name = "ConflictError";
}

/** Whether an engine has refused for good: it does not get better by waiting. */
export const isFinal = (error: unknown): boolean =>
  error instanceof TypeError || /permission|authori|invalid/i.test(String(error));

/** What a log is for: parts of large states, the messages of a channel, or jobs, each of which one taker ends. */
export type LogKind = "chunks" | "channel" | "queue";

export interface LogState {
  /** Differs for each log of that name that there ever was. */
  readonly life: string;
  /** Number of the last entry, 0 without any. */
  readonly last: number;
}

/** Entries with numbers that grow by one. */
export interface Log {
  exists(): Promise<boolean>;
  /** Makes the log, if it is missing. */
  state(): Promise<LogState>;
  /**
   * Appends an entry if `last` is still the number of the last one.
   * @param id tells apart entries: one that was appended before is not appended again
   * @returns the number of the last entry
   * @throws ConflictError
   */
  append(value: Uint8Array, last: number, id?: string): Promise<number>;
  /** One entry; undefined when it is gone. */
  at(revision: number): Promise<Uint8Array | undefined>;
  /** The entries from a number on, and all that come. Ends with the signal, and when the connection was lost: begin again. */
  read(from: number, signal: AbortSignal): AsyncIterable<Entry>;
  /** Removes the entries before this one. */
  trim(before: number): Promise<void>;
  /** Jobs, at most `room()` at a time; each goes to another taker when it is neither ended nor extended within `ackWaitMs`. */
  take(ackWaitMs: number, room: () => number, signal: AbortSignal): AsyncIterable<Delivery>;
}

/** An entry that this taker is to end. */
export interface Delivery extends Entry {
  /** The time of `ackWaitMs` begins again. */
  extend(): void;
  /** Ends it for good. @returns whether the engine has confirmed that */
  done(): Promise<boolean>;
  /** Lets another taker have it, at once or after a while. */
  giveBack(afterMs?: number): void;
}

export interface Transport {
  /** Bytes of the largest value. */
  readonly maxValueBytes: number;
  /** Since when there is no connection, in ms since 1970; undefined while there is one. */
  readonly disconnectedSince: number | undefined;
  /** Why there is no connection, where that is known. */
  readonly problem: string | undefined;
  /** Makes the bucket, if it is missing. @returns what differs for each bucket of that name that there ever was */
  life(): Promise<string>;
  get(key: string): Promise<Entry | undefined>;
  /**
   * Puts a value if the key still has that revision; 0: if it was never put.
   * @returns the new revision
   * @throws ConflictError
   */
  put(key: string, value: Uint8Array, lastRevision: number): Promise<number>;
  /**
   * The newest value of a key, and each that comes. Values may be passed over for newer ones. Ends when the connection
   * was lost meanwhile: begin again.
   */
  watch(key: string): AsyncIterable<Entry>;
  /** The keys of the bucket. */
  keys(): Promise<string[]>;
  log(key: string, kind: LogKind): Log;
  close(): Promise<void>;
}
