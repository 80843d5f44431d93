/** A descriptor in reserve: at the descriptor limit it is what a part of the library is read with that is loaded at its first use. */
import { provideSpare } from "../errors/load.ts";
import { closeFile, makeFd } from "./descriptor.ts";
import { cstring } from "./libc/call.ts";
import { O_CLOEXEC, O_RDONLY } from "./libc/constants.ts";
import { libc } from "./libc/symbols.ts";

/** -1: none. */
let spare = -1;

/** Takes one for this thread, unless it has one or none is left. To be called with every file that is opened. */
export function keepSpareFd(): void {
  if (spare < 0) spare = makeFd(libc().open, [cstring("/dev/null"), O_RDONLY | O_CLOEXEC, 0]);
}

provideSpare({
  giveUp() {
    if (spare < 0) return false;
    closeFile(spare);
    spare = -1;
    return true;
  },
  takeBack: keepSpareFd,
});
