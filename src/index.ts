/** shmstruct: structs declared as TypeScript classes, living in memory that independent processes share. */
import "./memory/futex-backend.ts";

export * from "./errors.ts";
// biome-ignore assist/source/organizeImports: in the order of the data flow
export * from "./roles/index.ts";
export * from "./struct/index.ts";
