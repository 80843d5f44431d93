/** Tries to create a file that does not fit, then one that does; prints what became of both. */
import { readdirSync } from "node:fs";
import { bytes, field, Manager, MmapStructure, ShmError } from "../../src/index.ts";
import { Robot } from "../record/structs.ts";

class Big extends MmapStructure {
  @field(bytes(200_000)) data!: Uint8Array;
}

const dir = process.argv[2] ?? ".";
try {
  new Manager(Big, { dir, create: true }).close();
  console.log("it fitted");
} catch (error) {
  if (!(error instanceof ShmError)) throw error;
  console.log(`${error.name} ${error.code}: ${error.message}`);
}
using robot = new Manager(Robot, { dir, create: true });
robot.edit((data) => {
  data.count = 1;
});
console.log(
  readdirSync(dir)
    .filter((name) => name.includes(".mmap"))
    .join(" "),
  robot.get("count"),
);
