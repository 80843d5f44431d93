/**
 * What POSIX objects answer, sorted as posix_ipc sorts it: by what the caller can do about it. Wrong values are
 * plain `TypeError` and `RangeError`, use after `close()` is `ClosedError`, as everywhere in the library.
 */

import { SystemError } from "../errors/errors.ts";
import { os } from "../sys/builtin.ts";
import { type Hints, lastErrno } from "../sys/libc/call.ts";
import { E, errnoName, O_CREAT } from "../sys/libc/constants.ts";
import { isMusl } from "../sys/libc/symbols.ts";

/**
 * Base of the errors below, and itself the error for everything else (`ENOSPC`, `EMFILE` …).
 * `syscall`, `errno`, `code` (`"EAGAIN"`) and `path` (the object's name) say what happened. Thrown by everything in
 * `shmstruct/posix` that asks the system. As `posix_ipc.Error`.
 * @example catch (error) { if (error instanceof PosixError) console.error(error.code, error.path); }
 */
export class PosixError extends SystemError {}

/**
 * The object does not exist (`ENOENT`), or exists although a new one was asked for (`EEXIST`). Thrown by constructors
 * and `unlink`.
 * @example catch (error) { if (error instanceof ExistentialError) retryLater(); }
 */
export class ExistentialError extends PosixError {}

/**
 * The permissions of the object do not allow it (`EACCES`, `EPERM`). Thrown by constructors, `unlink`, and by what a
 * handle was not opened for.
 * @example catch (error) { if (error instanceof PermissionsError) console.error("not ours:", error.path); }
 */
export class PermissionsError extends PosixError {}

/**
 * It would have to wait, and was not to, or not longer (`EAGAIN`, `ETIMEDOUT`), or it is taken (`EBUSY`). Thrown by what
 * waits, and by `requestNotification`.
 * @example catch (error) { if (error instanceof BusyError) skip(); }
 */
export class BusyError extends PosixError {}

/**
 * A signal that a JavaScript handler listens for ended a blocking wait (`EINTR`). Nothing was taken or sent. Thrown by
 * `acquire`, `hold`, `send` and `receive`; the handler runs once the caller returns to the event loop.
 * @example catch (error) { if (!(error instanceof SignalError)) throw error; }
 */
export class SignalError extends PosixError {}

const classes = new Map<number, typeof PosixError>([
  [E.ENOENT, ExistentialError],
  [E.EEXIST, ExistentialError],
  [E.EACCES, PermissionsError],
  [E.EPERM, PermissionsError],
  [E.EAGAIN, BusyError],
  [E.ETIMEDOUT, BusyError],
  [E.EBUSY, BusyError],
  [E.EINTR, SignalError],
]);

/** The error of the class that fits `errno`. `name` is the object's. */
export function posixError(syscall: string, errno: number, name?: string, hint?: string): PosixError {
  const ErrorClass = classes.get(errno) ?? PosixError;
  return new ErrorClass(syscall, errno, errnoName(errno), name, hint);
}

/** What to do when an object could not be opened with these flags. */
export const openHints = (flags: number): Hints => ({
  [E.ENOENT]: (flags & O_CREAT) === 0 ? "flags: O_CREAT would make it" : undefined,
});

/** The same for a semaphore or shared memory. */
export const sharedNameHints = (flags: number): Hints => ({
  ...openHints(flags),
  [E.EEXIST]: isMusl()
    ? "with musl a semaphore and shared memory cannot have the same name: the other one may have it"
    : undefined,
});

/** Returns `result` when it is not negative, throws the fitting `PosixError` otherwise. */
export function posixCheck(
  syscall: string,
  result: number | bigint,
  name?: string,
  hints: Hints = {},
): number {
  if (result >= 0) return Number(result);
  const errno = lastErrno();
  throw posixError(syscall, errno, name, hints[errno]);
}

/** Runs `call`; a `SystemError` of the rooms below comes out as the `PosixError` that fits, about the object `name`. */
export function asPosixErrors<T>(name: string | undefined, call: () => T, hints: Hints = {}): T {
  try {
    return call();
  } catch (error) {
    if (!(error instanceof SystemError) || error instanceof PosixError) throw error;
    throw posixError(error.syscall, error.errno, name ?? error.path, hints[error.errno]);
  }
}

/** The error of a wait that came to its end. */
export function timedOut(syscall: string, name: string, timeoutMs: number): PosixError {
  if (timeoutMs > 0) return posixError(syscall, E.ETIMEDOUT, name, `waited ${timeoutMs} ms`);
  return posixError(syscall, E.EAGAIN, name, "it would have to wait");
}

/**
 * Called when a blocking wait came back with EINTR.
 * @throws SignalError when JavaScript listens for any signal: its handler can run only once the caller lets the
 *   event loop turn. Otherwise the signal was the engine's own business and the wait may go on.
 */
export function letSignalThrough(syscall: string, name: string): void {
  const { signals } = os().constants;
  if (!process.eventNames().some((event) => typeof event === "string" && event in signals)) return;
  throw posixError(
    syscall,
    E.EINTR,
    name,
    "a signal arrived while waiting; its handler runs at the next turn of the event loop",
  );
}
