/** shmstruct: structs declared as TypeScript classes, living in memory that independent processes share. */
export * from "./errors.ts";
export * from "./struct/index.ts";
export * from "./roles/index.ts";
