/** Takes snapshots between two marks that strace can see: `role-quiet.ts <dir> <snapshots>`. */
import { accessSync } from "node:fs";
import { Reader } from "../../src/index.ts";
import { Pattern, stateOf } from "../record/structs.ts";

const [dir = ".", snapshots = "1000"] = process.argv.slice(2);
using reader = new Reader(Pattern, { dir });

function mark(name: string): void {
  try {
    accessSync(`/mark-${name}`);
  } catch {
    // There is no such file; the call is what counts.
  }
}

for (let i = 0; i < 1000; i++) reader.snapshot();
mark("begin");
let torn = 0;
for (let i = 0; i < Number(snapshots); i++) if (stateOf(reader.snapshot()) !== 1) torn += 1;
mark("end");
console.log(torn);
