/**
 * CRC-32 as in zlib.
 * @param before the checksum of what comes before, for one over several parts
 * @example crc32(schema, crc32(footer))
 */
export const crc32 = (bytes: Uint8Array, before = 0): number => Bun.hash.crc32(bytes, before);
