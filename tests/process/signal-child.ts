/**
 * A process that waits for commits on a lock's page, or makes them:
 *
 *   iterate <path> <turns>    prints one line per turn of changes(), ends after so many
 *   wait <path> <turns>       the same with wait()
 *   commit <path> <times>     commits so many times, after a moment
 */
import { Notifier } from "../../src/sync/notifier.ts";
import { RwLock } from "../../src/sync/rw-lock.ts";

const [, , action, path, turns] = process.argv as string[];
const signal = new Notifier({ lock: new RwLock({ path: path! }) });
let left = Number(turns);

if (action === "commit") {
  await Bun.sleep(20);
  for (; left > 0; left--) signal.notify();
} else if (action === "wait") {
  let lastSeen = signal.version;
  console.log("ready");
  for (; left > 0; left--) {
    signal.wait(lastSeen);
    lastSeen = signal.version;
    console.log(lastSeen);
  }
} else {
  const changes = signal.changes();
  console.log("ready");
  for await (const version of changes) {
    console.log(version);
    left -= 1;
    if (left === 0) break;
  }
}
