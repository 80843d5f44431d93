/** Prints what `listPosixObjects` says, as JSON. */
import { listPosixObjects } from "../../src/posix/index.ts";

console.log(JSON.stringify(listPosixObjects()));
