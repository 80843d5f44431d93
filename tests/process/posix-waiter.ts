/**
 * Waits on an object, blocking: `semaphore NAME`, `poll NAME` (the wait of musl and macOS), `receive NAME`, `send NAME`.
 * With `handler` as third argument it listens for SIGINT in JavaScript.
 */
import { MessageQueue, Semaphore, ShmError } from "../../src/posix/index.ts";
import { pollingWait } from "../../src/posix/semaphore.ts";

const [what, name, handler] = process.argv.slice(2) as [string, string, string | undefined];

function wait(): void {
  if (what === "semaphore") new Semaphore({ name }).acquire();
  if (what === "poll") {
    const semaphore = new Semaphore({ name });
    pollingWait(() => semaphore.tryAcquire(), name, Number.POSITIVE_INFINITY);
  }
  if (what === "receive") new MessageQueue({ name }).receive();
  if (what === "send") new MessageQueue({ name }).send("one more");
}

let signals = 0;
if (handler !== undefined) {
  process.on("SIGINT", () => {
    signals += 1;
    if (signals > 1) return;
    console.log("handler");
    process.exit(7);
  });
}
console.log("waiting");
try {
  wait();
  console.log("got it");
  process.exit(0);
} catch (error) {
  console.log(error instanceof ShmError ? error.name : String(error));
  // Keeps the process alive until the handler's turn.
  setTimeout(() => process.exit(8), 60_000);
}
