/** For Node.js in the place of src/sync/waker.ts: no process can wake it, so it looks. */
import { after } from "../sync/deadline.ts";
import type { LockPage } from "../sync/lock-page.ts";
import type { Waker } from "../sync/waker.ts";

export type { Waker } from "../sync/waker.ts";

/** How often changes are looked for, in milliseconds. */
export const POLL_EVERY_MS = 2;

/** A timer that looks. @param wake called on the event loop */
export function makeWaker(_page: LockPage | undefined, wake: () => void): Waker {
  let callOff: (() => void) | undefined;
  const calm = (): void => {
    callOff?.();
    callOff = undefined;
  };
  const request = (): void => {
    calm();
    callOff = after(POLL_EVERY_MS, wake);
  };
  return { request, calm, stop: calm };
}
