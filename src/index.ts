/** shmstruct: structs declared as TypeScript classes, living in memory that independent processes share. */
import "./memory/futex-backend.ts";

export * from "./errors.ts";
// Mapping, lock, role.
export * from "./roles/index.ts";
// Class definition, layout, view.
export * from "./struct/index.ts";
