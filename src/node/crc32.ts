/** For Node.js in the place of src/sys/crc32.ts: `crc32` of node:zlib came with 20.15. */
import * as zlib from "node:zlib";

/** Of x^32 + x^26 + …, the lowest bit first. */
const POLYNOMIAL = 0xedb8_8320;

const table = Int32Array.from({ length: 256 }, (_, byte) => {
  let value = byte;
  for (let bit = 0; bit < 8; bit++) value = (value >>> 1) ^ (value & 1 ? POLYNOMIAL : 0);
  return value;
});

function ownCrc32(bytes: Uint8Array, before = 0): number {
  let value = ~before;
  for (const byte of bytes) value = (value >>> 8) ^ (table[(value ^ byte) & 0xff] as number);
  return ~value >>> 0;
}

/** CRC-32 as in zlib. */
export const crc32: (bytes: Uint8Array, before?: number) => number =
  (zlib as { crc32?: typeof ownCrc32 }).crc32 ?? ownCrc32;
