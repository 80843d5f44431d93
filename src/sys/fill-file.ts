/** The bytes of a new file, before another process can see it. */
import { Mapping } from "./mapping.ts";

/** An open file that has its length. */
export interface FileToFill {
  readonly fd: number;
  readonly byteLength: number;
  readonly path: string;
}

/**
 * Lets `fill` write the bytes of a file that was just made, then calls `publish`; the descriptor is closed in the end.
 * @returns what `publish` returns
 * @throws SystemError; what `fill` and `publish` throw
 */
export function fillFile<R>(
  { fd, byteLength, path }: FileToFill,
  fill: (bytes: Uint8Array<ArrayBuffer>) => void,
  publish: () => R,
): R {
  using mapping = Mapping.map(fd, { byteLength, access: "write", path });
  fill(mapping.bytes);
  return publish();
}
