/** What the entries for Node.js share: one file of dist/, so that a class is the same one whichever entry it comes from. */
export * from "./channel.ts";
export * from "./index.ts";
export * from "./json.ts";
export * from "./queue.ts";
