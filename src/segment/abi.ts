/** What the same bits may mean on another machine, as one number that stands in every file. */
import { abi } from "../struct/layout/abi.ts";

const LONG_DOUBLES = ["x87", "binary128", "binary64", "unknown"] as const;

/**
 * The ABI tag of this machine; both processors that the library runs on are little-endian.
 *
 *     bit 0         byte order: 0 little-endian, 1 big-endian
 *     bits 1-2      long double: 0 x87 (80 bits in 16 bytes), 1 IEEE binary128, 2 IEEE binary64
 *     bit 3         wchar_t is signed
 *     bit 4         char is signed
 *     bits 8-15     binary logarithm of the page size, where the file assumes one; else 0
 */
export const ABI_TAG: number =
  (LONG_DOUBLES.indexOf(abi.longDouble) << 1) |
  (Number(abi.wcharSigned) << 3) |
  (Number(abi.charSigned) << 4);

/** An ABI tag in words, for messages. @example describeAbi(0x18) // "little-endian, long double x87, wchar_t signed, char signed" */
export function describeAbi(tag: number): string {
  const sign = (bit: number): string => ((tag >> bit) & 1 ? "signed" : "unsigned");
  const order = tag & 1 ? "big-endian" : "little-endian";
  const pages = (tag >> 8) & 0xff;
  const assumed = pages === 0 ? "" : `, pages of ${2 ** pages} bytes`;
  return `${order}, long double ${LONG_DOUBLES[(tag >> 1) & 3]}, wchar_t ${sign(3)}, char ${sign(4)}${assumed}`;
}
