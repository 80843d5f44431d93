/**
 * The header that every struct in a shared file begins with, byte for byte IPMMAP's.
 *
 * Its members are declared by calls, not by decorators: how decorators are compiled is decided by the user's
 * tsconfig.json, also for a library.
 */
import { StructType } from "./composite.ts";
import { declare } from "./decorators.ts";
import { Struct } from "./struct.ts";
import { c_double, c_int16 } from "./types.ts";

/**
 * What `header_code` holds in every file of ours and of IPMMAP.
 * @example reader.live.header.header_code === HEADER_CODE
 */
export const HEADER_CODE = 0x1128;

/**
 * 16 bytes: `short header_code; double time_stamp`.
 *
 *     0    2         8           16
 *     | hc | padding | time_stamp |
 *
 * @example new Date(reader.snapshot().header.time_stamp * 1000)
 */
export class MmapStructureHeader extends Struct {
  /** 0x1128 in a valid file. */
  header_code!: number;
  /** When the data was last written: seconds since 1970 (UNIX time), 0 for never. */
  time_stamp!: number;
}
declare(MmapStructureHeader, { header_code: c_int16, time_stamp: c_double }, { endian: "little" });

/**
 * Base of the structs that a Manager, Editor or Reader works on: brings the shared header as its first member.
 * Throws as `Struct` does.
 * @example class Robot extends MmapStructure { @field(c_double) speed!: number }
 */
export abstract class MmapStructure extends Struct {
  /** 16 bytes that the roles keep: leave them to those. */
  header!: MmapStructureHeader;
}
declare(MmapStructure, { header: new StructType(MmapStructureHeader) });
