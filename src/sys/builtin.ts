/**
 * Modules of Node, each loaded at its first use: that takes 0.3 to 2 ms, as long as opening a role, and most programs
 * of ours get along without.
 */

export const fs = (): typeof import("node:fs") => process.getBuiltinModule("node:fs");

export const os = (): typeof import("node:os") => process.getBuiltinModule("node:os");

export const path = (): typeof import("node:path") => process.getBuiltinModule("node:path");

export const asyncHooks = (): typeof import("node:async_hooks") =>
  process.getBuiltinModule("node:async_hooks");
