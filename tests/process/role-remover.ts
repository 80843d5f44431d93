/** As a user without rights (root becomes nobody), tries to remove the Robot in DIR; prints what is thrown. */
import { dlopen } from "bun:ffi";
import { Manager } from "../../src/index.ts";
import { Robot } from "../record/structs.ts";

const NOBODY = 65534;
// int seteuid(uid_t euid);
const libc = dlopen("libc.so.6", { seteuid: { args: ["u32"], returns: "i32" } }).symbols;
const dir = process.argv[2]!;
// Once in vain, so that everything is loaded before the rights to load it are gone.
new Manager(Robot, { dir: `${dir}/warm`, create: true }).remove();
if (process.getuid?.() === 0) libc.seteuid(NOBODY);
try {
  new Manager(Robot, { dir, shared: true }).remove();
} catch (error) {
  const { name, code, message } = error as { name: string; code: string; message: string };
  console.log(`${name} ${code}: ${message}`);
}
