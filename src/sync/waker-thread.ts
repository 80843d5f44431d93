/** The thread behind waker.ts: sleeps until the page's count of commits moves, and says so. */
import { LockPage } from "./lock-page.ts";
import { CONTROL, type WakerStart } from "./waker.ts";

declare const self: Worker;

self.onmessage = ({ data }: MessageEvent<WakerStart>) => {
  serve(data);
  process.exit(); // of this thread
};

function serve({ handle, control }: WakerStart): void {
  const page = LockPage.share(handle);
  if (page === undefined) return;
  let served = 0;
  const answer = (): void => {
    Atomics.store(control, CONTROL.wakes, served);
    Atomics.notify(control, CONTROL.wakes);
  };
  const isStopped = (): boolean => Atomics.load(control, CONTROL.stopped) !== 0;
  while (!isStopped()) {
    Atomics.wait(control, CONTROL.requests, served);
    served = Atomics.load(control, CONTROL.requests);
    const seen = Atomics.load(control, CONTROL.seen);
    // Also after a second without a wake: a writer may be killed between its commit and telling of it.
    if (page.changes !== seen || isStopped()) answer();
    // The event loop wakes up while the wake is handed on to others.
    else page.sleepUntilChange(seen, Number.POSITIVE_INFINITY, answer);
  }
  page.close();
}
