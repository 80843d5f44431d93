/** Names of POSIX objects: checked as this platform wants them, or made up. */

import { bits, checkMode } from "../sys/arguments.ts";
import { O_CREAT, O_EXCL } from "../sys/libc/constants.ts";
import { ExistentialError } from "./errors.ts";

/**
 * Options that every POSIX object takes.
 * @example const options: ObjectOptions = { name: "/robot", flags: O_CREX, mode: 0o660 };
 */
export interface ObjectOptions {
  /**
   * `"/name"`: a slash and up to 255 bytes (semaphores: 251, on musl 255) without one; null picks a random unused name and creates
   * the object.
   */
  name: string | null;
  /** 0 (the default) opens what exists; `O_CREAT` creates if missing; `O_CREX` only creates. */
  flags?: number | undefined;
  /** Permissions of an object that is created, 0 to 0o777, before the umask; default 0o600. Ignored for existing ones. */
  mode?: number | undefined;
}

/** 64 random bits make a clash as good as impossible; a clash is tried again all the same. */
function randomName(): string {
  const words = crypto.getRandomValues(new Uint32Array(2));
  return `/bun-${[...words].map((word) => word.toString(16).padStart(8, "0")).join("")}`;
}

/** Runs `open` with the name, or with random ones and `O_CREX` until one is unused. */
export function openObject<T>(
  { name, flags = 0 }: ObjectOptions,
  open: (name: string, flags: number) => T,
): { name: string; opened: T } {
  if (name !== null) return { name, opened: open(name, flags) };
  for (;;) {
    const random = randomName();
    try {
      return { name: random, opened: open(random, flags | O_CREAT | O_EXCL) };
    } catch (error) {
      if (!(error instanceof ExistentialError)) throw error;
    }
  }
}

/** What `ObjectOptions` has, for `checkOptions`. */
export const OBJECT_OPTIONS = { name: "any", flags: "number", mode: "number" } as const;

/**
 * @throws RangeError for a mode outside 0 to 0o777, flags other than `allowed`, and `O_EXCL` without `O_CREAT`; TypeError
 *   for flags of another type
 */
export function checkFlags(options: ObjectOptions, allowed: number): void {
  const { flags = 0 } = options;
  checkMode(options.mode);
  if ((bits(flags, "flags") & ~allowed) !== 0)
    throw new RangeError(`flags 0o${flags.toString(8)} has bits this object does not know`);
  if ((flags & (O_CREAT | O_EXCL)) === O_EXCL)
    throw new RangeError("O_EXCL goes with O_CREAT only: O_CREX has both, and 0 opens what exists");
}

/**
 * Returns `value` if it is a whole number from `min` to `max`.
 * @throws TypeError for another type, RangeError (with the limit) outside
 */
export function checkInteger(what: string, value: number, min: number, max: number): number {
  if (typeof value !== "number") throw new TypeError(`${what} must be a number, not ${typeof value}`);
  if (Number.isInteger(value) && value >= min && value <= max) return value;
  throw new RangeError(`${what} must be a whole number from ${min} to ${max}, not ${value}`);
}
