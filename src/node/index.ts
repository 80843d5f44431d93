/**
 * `shmstruct` on Node.js. The same modules as on Bun, but for those of src/node/: the build puts them in the place of the ones
 * that map files or call libc (scripts/build/node.ts).
 */
import { provideFutex } from "../struct/view/atomic.ts";
import "../sys/reflect-metadata.ts";
import { needsMapping } from "./libc.ts";

provideFutex({
  wait: () => {
    throw needsMapping("wait() of an atomic");
  },
  wake: () => {
    throw needsMapping("notify() of an atomic");
  },
});

export * from "../errors/errors.ts";
export * from "../record/index.ts";
export * from "../struct/index.ts";
