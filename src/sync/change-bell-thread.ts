/** The thread behind change-bell.ts: sleeps until the page's count of commits moves, and says so. */
import { type BellStart, CONTROL } from "./change-bell.ts";
import { LockPage } from "./lock-page.ts";

declare const self: Worker;

self.onmessage = ({ data }: MessageEvent<BellStart>) => {
  serve(data);
  process.exit(); // of this thread
};

function serve({ pageFd, path, control }: BellStart): void {
  const page = LockPage.adopt(pageFd, true, path);
  let served = 0;
  const isStopped = (): boolean => Atomics.load(control, CONTROL.stopped) !== 0;
  while (!isStopped()) {
    Atomics.wait(control, CONTROL.requests, served);
    served = Atomics.load(control, CONTROL.requests);
    const seen = Atomics.load(control, CONTROL.seen);
    // Rings after a second without a wake, too: a writer may be killed between its commit and telling of it.
    if (page.changes === seen && !isStopped()) page.sleepUntilChange(seen, Number.POSITIVE_INFINITY);
    if (!isStopped()) self.postMessage(undefined);
  }
  page.close();
}
