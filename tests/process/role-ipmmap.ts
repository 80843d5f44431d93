/**
 * The other side of role-ipmmap.py, with the library: `edit <dir> <rounds>` counts up under the lock, `watch <dir>` reads
 * under the lock and by snapshot until stdin ends. Prints how many mixes of two edits it met.
 */
import { DemoMmapStructure } from "../../demo/demo-struct.ts";
import { Editor, Reader } from "../../src/index.ts";

const [job, dir = ".", rounds = "0"] = process.argv.slice(2);
const options = { dir, lockDir: dir };

type Fields = Pick<DemoMmapStructure, "data_int" | "data_string"> & {
  data_xy: { x: number; y: number };
  multi_pts: { multi_points: { at(i: number): { y: number } } };
};

function isTorn({ data_int, data_string, data_xy, multi_pts }: Fields): boolean {
  const same =
    data_xy.x === data_int && data_xy.y === data_int && multi_pts.multi_points.at(23).y === data_int;
  return !same || data_string !== (data_int === 0 ? "" : String(data_int));
}

async function edit(): Promise<void> {
  using editor = new Editor(DemoMmapStructure, options);
  let torn = 0;
  for (let round = Number(rounds); round > 0; round--) {
    editor.edit((data) => {
      if (isTorn(data)) torn += 1;
      const count = data.data_int + 1;
      data.data_xy.y = count;
      data.data_string = String(count);
      data.multi_pts.multi_points.at(23).y = count;
      data.data_xy.x = count;
      data.data_int = count;
    });
    // Python's side looks for the lock every 10 to 100 ms only: leave it a chance.
    if (round % 8 === 0) await Bun.sleep(2);
  }
  console.log(torn);
}

async function watch(): Promise<void> {
  using reader = new Reader(DemoMmapStructure, options);
  let torn = 0;
  let isOver = false;
  process.stdin.on("end", () => {
    isOver = true;
  });
  process.stdin.resume();
  while (!isOver) {
    if (reader.read(isTorn)) torn += 1;
    if (isTorn(reader.snapshot())) torn += 1;
    await Bun.sleep(3);
  }
  console.log(torn);
}

await (job === "edit" ? edit() : watch());
