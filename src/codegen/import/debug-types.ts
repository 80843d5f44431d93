/** Types of C as debug information gives them, in one form for DWARF and BTF. */

/** Where a declaration stands, as far as the debug information tells. */
export interface SourceLocation {
  readonly file?: string | undefined;
  /** From 1. */
  readonly line?: number | undefined;
}

/** One member of a struct or union. */
export interface DebugMember extends SourceLocation {
  /** Empty for an anonymous struct or union. */
  readonly name: string;
  readonly type: DebugType;
  /** Bits from the start of the struct. */
  readonly bitOffset: number;
  /** Of a bit-field. */
  readonly bitWidth?: number | undefined;
}

/** An integer of C: `encoding` says what it is for. */
export interface DebugInteger {
  readonly kind: "integer";
  readonly name: string;
  readonly size: number;
  readonly encoding: "signed" | "unsigned" | "bool" | "char" | "utf";
  readonly big: boolean;
  /** Two byte orders of it occur, and the debug information does not tell which one this is. */
  readonly unsure?: boolean;
}

export interface DebugFloat {
  readonly kind: "float" | "complex";
  readonly name: string;
  readonly size: number;
  readonly big: boolean;
  /** As of an integer. */
  readonly unsure?: boolean;
}

export interface DebugArray {
  readonly kind: "array";
  element: DebugType;
  /** Outermost first; null where there is no length. */
  readonly dims: readonly (number | null)[];
  readonly isVector: boolean;
}

export interface DebugStruct extends SourceLocation {
  readonly kind: "struct" | "union";
  /** Its tag; empty without one. */
  readonly name: string;
  readonly size: number;
  members: readonly DebugMember[];
}

export interface DebugEnum extends SourceLocation {
  readonly kind: "enum";
  readonly name: string;
  readonly size: number;
  readonly signed: boolean;
  readonly values: readonly (readonly [string, bigint])[];
}

export interface DebugAlias extends SourceLocation {
  readonly kind: "typedef" | "atomic" | "qualifier";
  readonly name: string;
  target: DebugType;
}

/** What has no bytes of its own, or none that C knows the meaning of. */
export interface DebugOther {
  readonly kind: "pointer" | "void" | "function" | "incomplete" | "unknown";
  readonly name: string;
  readonly size: number;
  /** What a pointer points to, for comments. */
  target?: DebugType;
}

export type DebugType =
  | DebugInteger
  | DebugFloat
  | DebugArray
  | DebugStruct
  | DebugEnum
  | DebugAlias
  | DebugOther;

/** All types of one unit. */
export interface DebugTypes {
  readonly types: readonly DebugType[];
}

/** What stands behind typedefs and qualifiers, and their names on the way, outermost first. */
export interface Resolved {
  readonly type: Exclude<DebugType, DebugAlias>;
  readonly typedefs: readonly string[];
  readonly atomic: boolean;
}

const isAlias = (type: DebugType): type is DebugAlias => "target" in type && type.kind !== "pointer";

/** Goes through typedefs and qualifiers. */
export function resolved(type: DebugType): Resolved {
  if (!isAlias(type)) return { type, typedefs: [], atomic: false };
  const behind = resolved(type.target);
  const typedefs = type.kind === "typedef" ? [type.name, ...behind.typedefs] : behind.typedefs;
  return { type: behind.type, typedefs, atomic: behind.atomic || type.kind === "atomic" };
}
