/** What a mirror leaves beside its file, for the next one and for those who ask: `<file>.mirror`, whole or not there. */
import { readFileSync, renameSync, writeFileSync } from "node:fs";
import { type MirrorState, parseMirrorState } from "../segment/mirror-state.ts";
import { mirrorPath } from "../segment/place.ts";

/** Replaces what is noted of a file, in one step. */
export function writeState(path: string, state: MirrorState): void {
  const target = mirrorPath(path);
  const temporary = `${target}.${process.pid}`;
  writeFileSync(temporary, JSON.stringify(state), { mode: 0o600 });
  renameSync(temporary, target);
}

/** What is noted of a file; undefined where nothing is, or nonsense. */
export function readState(path: string): MirrorState | undefined {
  try {
    return parseMirrorState(readFileSync(mirrorPath(path), "utf8"));
  } catch {
    return undefined;
  }
}
