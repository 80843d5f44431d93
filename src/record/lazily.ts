import { loadPart } from "../errors/load.ts";

type Opening = typeof import("./opening.ts");
type Files = typeof import("./files.ts");

let loadedOpening: Opening | undefined;
let loadedFiles: Files | undefined;

/** Loads what opening a role takes, once. */
export function opening(): Opening {
  loadedOpening ??= loadPart(() => require("./opening.ts") as Opening);
  return loadedOpening;
}

/** Loads what making, listing and removing files take, once. */
export function files(): Files {
  loadedFiles ??= loadPart(() => require("./files.ts") as Files);
  return loadedFiles;
}
