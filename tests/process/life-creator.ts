/**
 * One of many creators of a file that is filled before it is seen: `life-creator.ts <dir> create | force`. Prints how often it ran
 * `init`, and what is in the file.
 */
import { Manager } from "../../src/index.ts";
import { UnitOld } from "../record/life-structs.ts";

const [dir = ".", how = ""] = process.argv.slice(2);
let inits = 0;
using manager = new Manager(UnitOld, {
  dir,
  create: true,
  force: how === "force",
  init: (data) => {
    inits++;
    data.marker = process.pid;
    data.count = data.twin = process.pid;
  },
});
const { marker, count, twin } = manager.snapshot();
console.log(JSON.stringify({ inits, marker, isWhole: marker !== 0 && marker === count && count === twin }));
