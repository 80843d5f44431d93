/** Loads what opening a role takes, once. */
export const opening = (): typeof import("./opening.ts") => require("./opening.ts");
