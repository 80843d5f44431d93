/**
 * A log that one publisher at a time appends to. Who takes over appends a mark first; from then on what the one before
 * appends comes too late, as it does not know the mark's number.
 */
import type { Lease } from "./lease.ts";
import { ConflictError, type Log } from "./transport.ts";

/** The first byte of an entry: what it is. */
const MARK = 0;
const DATA = 1;

/** The content of an entry; undefined for a mark, or nonsense. */
export const dataOf = (entry: Uint8Array): Uint8Array | undefined =>
  entry[0] === DATA ? entry.subarray(1) : undefined;

export class FencedLog {
  readonly #log: Log;
  readonly #lease: Lease;
  /** Number of the last entry; undefined before the mark. */
  #last: number | undefined;

  constructor(log: Log, lease: Lease) {
    this.#log = log;
    this.#lease = lease;
  }

  /**
   * Appends what fits into one entry. An entry whose answer got lost is appended twice, unless it has an `id`.
   * @returns its number
   * @throws LeaseTaken; what the transport throws while it is cut off
   */
  async append(data: readonly Uint8Array[], id?: string): Promise<number> {
    const entry = Buffer.concat([Uint8Array.of(DATA), ...data]);
    for (;;) {
      const last = this.#last ?? (await this.fence());
      try {
        this.#last = await this.#log.append(entry, last, id);
        return this.#last;
      } catch (error) {
        this.#last = undefined;
        if (!(error instanceof ConflictError)) throw error;
      }
    }
  }

  /**
   * Appends the mark: nothing of a publisher before this one arrives any more.
   * @throws LeaseTaken; what the transport throws while it is cut off
   */
  async fence(): Promise<number> {
    for (;;) {
      const { last } = await this.#log.state();
      // After the look: who takes the lease from now on finds the mark, or makes it come too late.
      await this.#lease.renew();
      try {
        this.#last = await this.#log.append(Uint8Array.of(MARK), last);
        return this.#last;
      } catch (error) {
        if (!(error instanceof ConflictError)) throw error;
      }
    }
  }
}
