/**
 * Positioned reads and writes, which Linux keeps coherent with the mappings of a file: both go through the same pages.
 *
 * A positioned write of several bytes is no atomic store: for fewer than 8 bytes the kernel may copy byte by byte. A single
 * byte is always seen whole, and two writes in a row are seen in their order. docs/interop/node.md says what follows.
 */
import { fs } from "../sys/builtin.ts";
import { throughFs } from "../sys/paths.ts";

/** Reads into `bytes`; what lies behind the end of the file stays as it was. @throws SystemError */
export function readAt(fd: number, bytes: Uint8Array, byteOffset: number, path?: string): void {
  for (let done = 0; done < bytes.length; ) {
    const left = bytes.length - done;
    const count = throughFs(() => fs().readSync(fd, bytes, done, left, byteOffset + done), path);
    if (count === 0) return;
    done += count;
  }
}

/** Writes all of `bytes`. @throws SystemError ENOSPC … */
export function writeAt(fd: number, bytes: Uint8Array, byteOffset: number, path?: string): void {
  for (let done = 0; done < bytes.length; ) {
    const left = bytes.length - done;
    done += throughFs(() => fs().writeSync(fd, bytes, done, left, byteOffset + done), path);
  }
}

const oneByte = new Uint8Array(1);

/** Writes a single byte. @throws SystemError */
export function writeByte(fd: number, value: number, byteOffset: number, path?: string): void {
  oneByte[0] = value;
  writeAt(fd, oneByte, byteOffset, path);
}
