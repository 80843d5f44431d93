/** `shmstruct/json` on Node.js: all of it. */
export * from "../document/index.ts";
