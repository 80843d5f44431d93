import { loadPart } from "../errors/load.ts";

type Opening = typeof import("./opening.ts");

let loaded: Opening | undefined;

/** Loads what opening a role takes, once. */
export function opening(): Opening {
  loaded ??= loadPart(() => require("./opening.ts") as Opening);
  return loaded;
}
