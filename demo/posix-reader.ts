/**
 * The second of the classic pair: waits for the semaphore, reads what the writer wrote, and removes both objects.
 *
 *     bun demo/posix-reader.ts             and in another terminal, before or after:   bun demo/posix-writer.ts
 *
 * Ctrl-C ends the wait.
 */
import { O_CREAT, Semaphore, SharedMemory, SignalError } from "shmstruct/posix";

const [memoryName = "/unique_name", semaphoreName = "/semaphore"] = process.argv.slice(2);

process.on("SIGINT", () => {
  console.log("interrupted");
  process.exit(130);
});

// O_CREAT here too: the first process creates the semaphore, with the value 0.
using semaphore = new Semaphore({ name: semaphoreName, flags: O_CREAT, initialValue: 0 });
console.log(`waiting for ${semaphoreName}`);
try {
  semaphore.acquire();
  read();
} catch (error) {
  // The handler above runs now that the event loop turns.
  if (!(error instanceof SignalError)) throw error;
}

function read() {
  using memory = new SharedMemory({ name: memoryName });
  using map = memory.map();
  const end = map.find("\0");
  console.log(`read "${new TextDecoder().decode(map.slice(0, end))}" from ${memoryName}`);
  memory.unlink();
  semaphore.unlink();
}
