/** What a mirror leaves beside its file, for the next one and for those who ask: `<file>.mirror`, whole or not there. */
import { readFileSync, renameSync, writeFileSync } from "node:fs";
import { type MirrorState, parseMirrorState } from "../segment/mirror-state.ts";
import { mirrorPath } from "../segment/place.ts";

/**
 * Replaces what is noted of a file, in one step. What cannot be noted (a full disk, a directory that is gone) is left: the next
 * mirror then finds an older note, and stores a state once more.
 * @returns whether it is noted
 */
export function writeState(path: string, state: MirrorState): boolean {
  const target = mirrorPath(path);
  // One name, so that what a killed process left is overwritten.
  const temporary = `${target}.new`;
  try {
    writeFileSync(temporary, JSON.stringify(state), { mode: 0o600 });
    renameSync(temporary, target);
    return true;
  } catch {
    return false;
  }
}

/** What is noted of a file; undefined where nothing is, or nonsense. */
export function readState(path: string): MirrorState | undefined {
  try {
    return parseMirrorState(readFileSync(mirrorPath(path), "utf8"));
  } catch {
    return undefined;
  }
}
