/** What a mirror leaves beside its file, for the next one and for those who ask: `<file>.mirror`, whole or not there. */
import { isNote, type MirrorState, NOTE_MARKER, readNoteFile } from "../segment/mirror-state.ts";
import { mirrorPath } from "../segment/place.ts";
import { makeTemporary, rename, sweepTemporaries } from "../sys/new-file.ts";
import { exists } from "../sys/paths.ts";
import { statusAt } from "../sys/status.ts";
import type { Trust } from "../sys/trust.ts";

/** Files beside which this thread has looked for what killed mirrors left. */
const swept = new Set<string>();

/**
 * Replaces what is noted of a file, in one step; who may read the file may read the note. What cannot be noted (a full disk, a
 * directory that is gone, another program's file of that name) is left: the next mirror then finds an older note, and
 * stores a state once more.
 * @returns whether it is noted
 */
export function writeState(path: string, { role, ...state }: MirrorState, trust?: Trust): boolean {
  const target = mirrorPath(path);
  try {
    if (exists(target) && readNoteFile(target, trust) === undefined) return false;
    if (!swept.has(target)) sweepTemporaries(target, isNote);
    swept.add(target);
    const note = new TextEncoder().encode(JSON.stringify({ role, ...state }));
    const mode = ((statusAt(path)?.mode ?? 0) & 0o044) | 0o600;
    const fill = (bytes: Uint8Array): void => bytes.set(note);
    makeTemporary(target, { byteLength: note.length, mode, marker: NOTE_MARKER, fill }, (temporary) =>
      rename(temporary, target),
    );
    return true;
  } catch {
    return false;
  }
}
