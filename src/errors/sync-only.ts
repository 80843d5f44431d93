/** Functions that work under a lock must be done when they return. */
import { show } from "./show.ts";

/**
 * The result of a function that must not be async: its lock is gone when it returns. The compiler's complaint about an
 * async one quotes `Hint`.
 * @example function edit<R>(fn: (data: T) => SyncResult<R, "use editAsync">): R
 */
export type SyncResult<R, Hint extends string = "use a function that is not async"> = R &
  (R extends PromiseLike<unknown> ? { readonly "the function must not be async": Hint } : unknown);

/**
 * Refused before the lock is taken, as what it does after its first `await` could not be undone.
 * @param method what the message begins with, e.g. `"edit"`
 * @param instead what to use, e.g. `"editAsync"`
 * @throws TypeError for an async function, a generator, and what is no function
 */
export function refuseAsync(fn: unknown, method: string, instead?: string): void {
  checkFunction(fn, method);
  const kind = fn.constructor.name;
  if (kind === "AsyncFunction")
    throw new TypeError(
      `${method}(fn): fn is async, but the lock is held only until fn returns${hint(instead)}`,
    );
}

/** Refuses what could not run, before a lock is taken for it. */
export function checkFunction(fn: unknown, method: string): asserts fn is (...args: never[]) => unknown {
  if (typeof fn !== "function") throw new TypeError(`${method}(fn): expected a function, got ${show(fn)}`);
  const kind = fn.constructor.name;
  // Nearly all are plain: to look into the name takes more time than to compare it.
  if (kind !== "Function" && kind.endsWith("GeneratorFunction"))
    throw new TypeError(`${method}(fn): fn is a generator, which does nothing when it is called`);
}

/**
 * A promise from a function that was not declared async is found out when it is returned.
 * @throws TypeError for a promise; anything else is given back
 */
export function refusePromise<R>(result: R, method: string, instead?: string): R {
  if (typeof (result as { then?: unknown } | null | undefined)?.then !== "function") return result;
  throw new TypeError(
    `${method}(fn): fn returned a promise, but the lock is held only until fn returns${hint(instead)}`,
  );
}

const hint = (instead: string | undefined): string => (instead === undefined ? "" : `; use ${instead}`);
