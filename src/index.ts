/** shmstruct: structs declared as TypeScript classes, living in memory that independent processes share. */
import "./sys/bytes-backend.ts";
import "./sys/futex-backend.ts";
import "./sys/reflect-metadata.ts";

export * from "./errors/errors.ts";
// Mapping, lock, role.
export * from "./record/index.ts";
// Class definition, layout, view.
export * from "./struct/index.ts";
