/**
 * For a second, as one of several Managers of DIR: makes the file anew with WHAT kind of lock, or ("remove") makes it if
 * need be and removes it. Prints { rounds, unexpected }.
 */
import { type LockKind, Manager, ShmError } from "../../src/index.ts";
import { Robot } from "../record/structs.ts";

const [, , dir, what] = process.argv as string[];
const both = { dir: dir!, lockDir: dir!, create: true };
const unexpected: string[] = [];
let rounds = 0;

/** Whoever was faster in removing it is no error of this one. */
function isGone(error: unknown): boolean {
  return error instanceof ShmError && error.code === "FILE_MISSING";
}

const end = Date.now() + 1000;
for (; Date.now() < end; rounds++) {
  let step = "make";
  try {
    const options = what === "remove" ? both : { ...both, force: true, lock: what as LockKind };
    const manager = new Manager(Robot, options);
    step = "use";
    manager.set("count", rounds);
    if (what === "remove") manager.remove();
    else manager.close();
  } catch (error) {
    if (step === "make" || !isGone(error)) unexpected.push(`${step}: ${String(error)}`);
  }
}
console.log(JSON.stringify({ rounds, unexpected: unexpected.slice(0, 5) }));
