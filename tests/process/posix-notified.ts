/** Asks for a notification on the queue NAME by `callback` or by SIGUSR1 (`signal`), says so, and does nothing else. */
import { BusyError, MessageQueue } from "../../src/posix/index.ts";

const [name, how] = process.argv.slice(2) as [string, string];
const queue = new MessageQueue({ name });
if (how === "signal") {
  process.on("SIGUSR1", () => {
    console.log("notified");
    process.exit(0);
  });
  // A listener keeps no process alive.
  setTimeout(() => {}, 60_000);
}
try {
  queue.requestNotification(how === "signal" ? "SIGUSR1" : () => console.log("notified"));
  console.log("asked");
} catch (error) {
  console.log(error instanceof BusyError ? "busy" : String(error));
}
if (how === "cancel") queue.requestNotification(null);
// Only the request keeps this process alive from here on.
