/** For Node.js in the place of src/sys/fill-file.ts: the bytes are written, which also gives them storage. */
import { closeFile } from "../sys/file.ts";
import type { FileToFill } from "../sys/fill-file.ts";
import { writeAt } from "./positioned.ts";

/**
 * Lets `fill` compose the bytes of a file that was just made, writes them, then calls `publish`; the descriptor is closed in
 * the end.
 */
export function fillFile<R>(
  { fd, byteLength, path }: FileToFill,
  fill: (bytes: Uint8Array<ArrayBuffer>) => void,
  publish: () => R,
): R {
  try {
    const bytes = new Uint8Array(byteLength);
    fill(bytes);
    writeAt(fd, bytes, 0, path);
    return publish();
  } finally {
    closeFile(fd);
  }
}
