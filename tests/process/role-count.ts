/**
 * Counts up under the writer lock, or watches those who do until stdin ends:
 *
 *     count <dir> <rounds>     prints how many of its edits it found torn
 *     watch <dir>              prints reads under the lock, snapshots, and how many of each were torn
 */
import { Editor, Reader } from "../../src/index.ts";
import { Robot } from "../record/structs.ts";

const [job, dir = ".", rounds = "0"] = process.argv.slice(2);

/** Fields that one edit sets to the same, far apart in the struct. */
const isTorn = ({
  count,
  twin,
  pose,
  path,
}: {
  count: number;
  twin: number;
  pose: { x: number };
  path: { at(i: number): { y: number } };
}) => count !== twin || pose.x !== count || path.at(2).y !== count;

function count(): void {
  using editor = new Editor(Robot, { dir, lockDir: dir });
  let torn = 0;
  for (let round = Number(rounds); round > 0; round--) {
    editor.edit((data) => {
      if (isTorn(data)) torn += 1;
      data.count += 1;
      data.pose.x = data.count;
      data.path.at(2).y = data.count;
      data.twin = data.count;
    });
  }
  console.log(torn);
}

async function watch(): Promise<void> {
  using reader = new Reader(Robot, { dir, lockDir: dir });
  const seen = { locked: 0, tornLocked: 0, snapshots: 0, tornSnapshots: 0, older: 0 };
  let last = 0;
  let isOver = false;
  process.stdin.on("end", () => {
    isOver = true;
  });
  process.stdin.resume();
  console.log("ready");
  while (!isOver) {
    for (let i = 0; i < 50; i++) {
      seen.locked += 1;
      if (reader.read(isTorn)) seen.tornLocked += 1;
      for (let j = 0; j < 20; j++) {
        const snapshot = reader.snapshot();
        seen.snapshots += 1;
        if (isTorn(snapshot)) seen.tornSnapshots += 1;
        if (snapshot.count < last) seen.older += 1;
        last = snapshot.count;
      }
    }
    await Bun.sleep(0);
  }
  console.log(JSON.stringify(seen));
}

if (job === "count") count();
else void watch();
