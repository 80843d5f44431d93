/**
 * What differs between the platforms in how C lays out and stores values: one table, and the line of it that holds
 * here. All of them are little-endian with 64-bit pointers, as Linux has them.
 */

/** The rules of one platform's C. */
export interface Abi {
  readonly name: string;
  /** `long double`, 16 bytes: the 80-bit x87 format, or IEEE binary128. */
  readonly longDouble: "x87" | "binary128";
  readonly wcharSigned: boolean;
  readonly charSigned: boolean;
  /**
   * Whether `int : 0` aligns the whole struct as a member of its type would. gcc then aligns it to the type's own
   * alignment even where `#pragma pack` gives less.
   */
  readonly zeroWidthAligns: boolean;
}

/** By processor, as the runtimes name it. */
export const abis = {
  x64: {
    name: "x86-64 Linux (System V)",
    longDouble: "x87",
    wcharSigned: true,
    charSigned: true,
    zeroWidthAligns: false,
  },
  arm64: {
    name: "arm64 Linux (AAPCS64)",
    longDouble: "binary128",
    wcharSigned: false,
    charSigned: false,
    zeroWidthAligns: true,
  },
} as const satisfies Record<string, Abi>;

/** What a runtime tells of itself; a browser page tells nothing. */
const { arch } = (globalThis as { readonly process?: { readonly arch?: string } }).process ?? {};

/** The rules that hold here. Where the runtime does not tell the processor, it is taken for an x86-64. */
export const abi: Abi = arch === "arm64" ? abis.arm64 : abis.x64;

/** The processor reorders loads, so that a fence must be an instruction. */
export const isWeaklyOrdered: boolean = arch === "arm64";
