/**
 * What differs between the platforms in how C lays out and stores values: one table, and the line of it that holds
 * here. All of them are little-endian with 64-bit pointers.
 */

/** The rules of one platform's C. */
export interface Abi {
  readonly name: string;
  /** `long double`: the 80-bit x87 format in 16 bytes, IEEE binary128, or a double. */
  readonly longDouble: "x87" | "binary128" | "binary64";
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
  arm64Darwin: {
    name: "arm64 macOS",
    longDouble: "binary64",
    wcharSigned: true,
    charSigned: true,
    zeroWidthAligns: false,
  },
} as const satisfies Record<string, Abi>;

/** What a runtime tells of itself; a browser page tells nothing. */
interface Runtime {
  readonly process?: { readonly arch?: string; readonly platform?: string };
}

/** The table's line for this processor. Where the runtime does not tell, it is taken for an x86-64. */
function here(): Abi {
  const { arch, platform } = (globalThis as Runtime).process ?? {};
  if (arch !== "arm64") return abis.x64;
  return platform === "darwin" ? abis.arm64Darwin : abis.arm64;
}

/** The rules that hold here. */
export const abi: Abi = here();

/** The processor reorders loads and stores, so that a fence must be an instruction. */
export const isWeaklyOrdered: boolean = (globalThis as Runtime).process?.arch === "arm64";
