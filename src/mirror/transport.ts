/** What a mirror needs of an engine. Another engine is added by another implementation. */

/** A value of the engine, and which of its revisions it is. */
export interface Entry {
  readonly value: Uint8Array;
  /** Grows with every put of any key. */
  readonly revision: number;
}

/** Another process has put the key since. */
export class ConflictError extends Error {
  override readonly name = "ConflictError";
}

export interface Transport {
  /** Bytes of the largest value. */
  readonly maxValueBytes: number;
  /** Since when there is no connection, in ms since 1970; undefined while there is one. */
  readonly disconnectedSince: number | undefined;
  get(key: string): Promise<Entry | undefined>;
  /**
   * Puts a value if the key still has that revision; 0: if it was never put.
   * @returns the new revision
   * @throws ConflictError
   */
  put(key: string, value: Uint8Array, lastRevision: number): Promise<number>;
  /** Removes a key and its history. */
  purge(key: string): Promise<void>;
  /** The newest value of a key, and each that comes, until `close()`. Values may be passed over for newer ones. */
  watch(key: string): AsyncIterable<Entry>;
  close(): Promise<void>;
}
