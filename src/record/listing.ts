/** The segments that there are, for tools. */
import type { ListedSegment } from "../segment/list.ts";
import { files } from "./lazily.ts";

/**
 * The segments of a directory, by name; other files are passed over. Nothing is mapped, and no lock is
 * held; one is tried where a writer has begun and not ended, to tell whether it lives.
 * @param directory default `"./.mmap"`; `"/dev/shm"` has those that were opened by `name`
 * @throws SystemError ENOENT, EACCES …
 * @example listSegments("/dev/shm").filter(({ state }) => state !== "ok")
 */
export function listSegments(directory = "./.mmap"): ListedSegment[] {
  return files().listSegments(directory);
}

/**
 * What a listing says of one file; undefined when it is no segment, or cannot be read.
 * @example segmentAt("./.mmap/Robot_.mmap")?.state
 */
export function segmentAt(path: string): ListedSegment | undefined {
  return files().segmentAt(path);
}

/**
 * Removes from a directory what segments have left that are gone: lock files, lock pages, owners' files and files of
 * killed creators. What a process uses stays, and so do all files of segments that are there.
 * @param directory default `"./.mmap"`
 * @returns the paths that were removed
 * @throws SystemError ENOENT, EACCES …
 * @example purgeSegments("/run/robot");
 */
export function purgeSegments(directory = "./.mmap"): string[] {
  return files().purgeSegments(directory);
}
