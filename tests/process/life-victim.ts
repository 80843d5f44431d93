/** Migrates and restores the Unit in DIR again and again, until it is killed: `life-victim.ts <dir> <backup>`. */
import { Manager } from "../../src/index.ts";
import { UnitNew, UnitOld } from "../record/life-structs.ts";

const [dir = ".", backup = ""] = process.argv.slice(2);
console.log("ready");
for (let turn = 0; ; turn++) {
  const cls = turn % 2 === 0 ? UnitNew : UnitOld;
  if (turn % 5 === 4) Manager.restore(UnitOld, backup, { dir });
  else new Manager(cls as typeof UnitOld, { dir, create: true, migrate: true }).close();
}
