/** Waiting for a file that another process makes. */
import { checkOptions } from "../errors/check-options.ts";
import { FileMissingError, WaitTimeoutError } from "../errors/errors.ts";
import { checkMilliseconds, checkSignal, Deadline, pauseFor } from "../sync/deadline.ts";

/** How long to wait for a file. @example await Reader.open(Robot, { dir, waitMs: 5000 }) */
export interface WaitForFileOptions {
  /** Milliseconds, fractions allowed; 0 looks once. Default: no limit. */
  readonly waitMs?: number | undefined;
  /** Aborting it rejects with `signal.reason`. */
  readonly signal?: AbortSignal | undefined;
}

/** What `WaitForFileOptions` has, for `checkOptions`. */
export const WAIT_FOR_FILE_OPTIONS = { waitMs: "number", signal: "any" } as const;

/** How often the file is looked for, in milliseconds. */
const LOOK_EVERY_MS = 10;

/**
 * What `open` gives, once it no longer finds the file missing.
 * @param where what messages begin with
 * @throws WaitTimeoutError after `waitMs`; the signal's reason; what else `open` throws
 */
export async function waitForFile<T>(
  where: string,
  open: () => T,
  { waitMs, signal: given }: WaitForFileOptions,
): Promise<T> {
  checkOptions(where, { waitMs }, { waitMs: "number" });
  if (waitMs !== undefined) checkMilliseconds("waitMs", waitMs);
  const signal = checkSignal(where, given);
  const deadline = new Deadline(waitMs);
  for (;;) {
    signal?.throwIfAborted();
    try {
      return open();
    } catch (error) {
      if (!(error instanceof FileMissingError)) throw error;
      if (deadline.leftMs === 0) throw tooLate(error, waitMs as number);
    }
    await pauseFor(LOOK_EVERY_MS, signal);
  }
}

const tooLate = (cause: FileMissingError, waitMs: number): WaitTimeoutError => {
  const error = new WaitTimeoutError(cause.path, waitMs, `within ${waitMs} ms ${cause.message}`);
  error.cause = cause;
  return error;
};
