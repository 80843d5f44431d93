/** Makes the Robot file anew, again and again, until it is killed: `role-forcer.ts <dir>`. */
import { Manager } from "../../src/index.ts";
import { Robot } from "../record/structs.ts";

const [dir = "."] = process.argv.slice(2);
console.log("ready");
for (;;) new Manager(Robot, { dir, create: true, force: true }).close();
