/** Terminal 1: `bun demo/editor.ts`, and `bun demo/reader.ts` in terminal 2. Writes once a second until Ctrl-C. */
import { Manager } from "shmstruct";
import { DemoMmapStructure } from "./demo-struct.ts";

const random = () => Math.random() * 100;

// Closing is not needed for safety (a lock dies with its process), but polite.
using manager = new Manager(DemoMmapStructure, { create: true });
console.log(`memory mapped: ${manager.path}   (Ctrl-C ends)`);

const stop = Promise.withResolvers<void>();
process.once("SIGINT", () => stop.resolve());
process.once("SIGTERM", () => stop.resolve());
let stopped = false;
void stop.promise.then(() => {
  stopped = true;
});

while (!stopped) {
  const start = performance.now();
  manager.edit((data) => {
    data.data_int = Math.floor(random());
    data.data_string = crypto.randomUUID();
    data.data_xy = { x: random(), y: random() };
    const first = data.multi_pts.multi_points.at(0);
    first.x = random();
    first.y = random();
  });
  const tookMs = performance.now() - start;

  const { data_int, data_string, data_xy, multi_pts } = manager.snapshot();
  console.log(`------ inserted to shared memory (${tookMs.toFixed(3)} ms) ------`);
  console.log(`[last update] ${manager.lastUpdate?.toISOString()}`);
  console.log(`[data_int] ${data_int}   [data_string] ${data_string}`);
  console.log(`[data_xy] x: ${data_xy.x}, y: ${data_xy.y}`);
  console.log(`[multi_points[0]] x: ${multi_pts.multi_points.at(0).x}, y: ${multi_pts.multi_points.at(0).y}`);
  await Promise.race([Bun.sleep(1000), stop.promise]);
}
console.log("stopped; the file stays for the readers");
