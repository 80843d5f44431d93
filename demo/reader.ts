/** Terminal 2: prints what `bun demo/editor.ts` writes, at once, until Ctrl-C. */
import { FileMissingError, Reader } from "shmstruct";
import { DemoMmapStructure } from "./demo-struct.ts";

let stopped = false;
let reader: Reader<DemoMmapStructure> | undefined;
const stop = () => {
  stopped = true;
  reader?.close(); // ends the iteration below
};
process.once("SIGINT", stop);
process.once("SIGTERM", stop);

for (let told = false; reader === undefined && !stopped; ) {
  try {
    reader = new Reader(DemoMmapStructure);
  } catch (error) {
    if (!(error instanceof FileMissingError)) throw error;
    if (!told) console.log(`${error.message}\n(waiting for it: run \`bun demo/editor.ts\`)`);
    told = true;
    await Bun.sleep(200);
  }
}

if (reader !== undefined && !stopped) {
  console.log(`memory mapped: ${reader.path}   (Ctrl-C ends)`);
  for await (const _ of reader.changes()) {
    const { data_int, data_string, data_xy, multi_pts } = reader.snapshot();
    console.log("------ shared memory updated ------");
    console.log(`[last update] ${reader.lastUpdate?.toISOString()}`);
    console.log(`[data_int] ${data_int}   [data_string] ${data_string}`);
    console.log(`[data_xy] x: ${data_xy.x}, y: ${data_xy.y}`);
    console.log(
      `[multi_points[0]] x: ${multi_pts.multi_points.at(0).x}, y: ${multi_pts.multi_points.at(0).y}`,
    );
  }
}
