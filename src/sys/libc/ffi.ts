/**
 * All that the library needs of a foreign-function interface, and the only file that imports one (bun:ffi). To run on
 * another runtime, write these five functions for it: `openLibrary`, `ownedBuffer`, `callOwned`, `addressOf`, `readInt32`.
 */
import { type Pointer as BunPointer, dlopen, FFIType, ptr, read, toArrayBuffer } from "bun:ffi";

/** C types as symbol tables write them. A `"ptr"` argument takes an address, null, or a typed array that is kept alive for the call. */
export type CArgument = "ptr" | "i32" | "u32" | "i64" | "u64";
/** `"i64"` is a number up to 2^53 and a bigint beyond. */
export type CReturn = "ptr" | "i32" | "i64" | "void";

/** One function of a C library. */
export interface CFunction {
  readonly args: readonly CArgument[];
  readonly returns: CReturn;
  /** Its callers give it constants, and descriptors and memory of their own: no gate, which is a part of what the shortest calls take. */
  readonly isTrusted?: true;
}

/** An address. What cannot be one, such as `(void *)-1`, comes as a bigint. */
export type Address = number | bigint | null;

interface ArgumentOf {
  ptr: NodeJS.TypedArray | DataView | Address;
  i32: number;
  u32: number;
  i64: number | bigint;
  u64: number | bigint;
}

interface ReturnOf {
  ptr: Address;
  i32: number;
  i64: number | bigint;
  void: undefined;
}

/** A table of C functions as JavaScript functions. */
export type Symbols<T extends Record<string, CFunction>> = {
  readonly [Name in keyof T]: (...args: Arguments<T[Name]["args"]>) => ReturnOf[T[Name]["returns"]];
};

type Arguments<A extends readonly CArgument[]> = {
  -readonly [Index in keyof A]: ArgumentOf[A[Index]];
};

/**
 * Loads a library, or finds it where it is loaded already, and looks up the functions of the table.
 * @throws Error when there is no such library, or it lacks one of them
 */
export function openLibrary<const T extends Record<string, CFunction>>(name: string, table: T): Symbols<T> {
  const bunTable = Object.fromEntries(
    Object.entries(table).map(([symbol, { args, returns }]) => [
      symbol,
      { args: [...args], returns: returns === "i64" ? FFIType.i64_fast : returns },
    ]),
  );
  const natives = dlopen(name, bunTable).symbols as unknown as Readonly<Record<string, Native>>;
  const gated = Object.entries(table).map(([symbol, { args, isTrusted }]) => [
    symbol,
    isTrusted ? natives[symbol] : throughGate(symbol, args, natives[symbol] as Native),
  ]);
  return Object.fromEntries(gated) as Symbols<T>;
}

/** `ptr` is the address in C, which costs 30 µs to ask for; `behind` what a gated function calls, which has it; `check` is its gate. */
type Native = ((...args: unknown[]) => unknown) & { readonly ptr?: unknown; behind?: Native; check?: Check };

/** What an argument must be: of what does not fit C would take the low bits, and do something else. */
const FITS: Readonly<Record<CArgument, (value: unknown) => boolean>> = {
  ptr: () => true,
  i32: (value) => typeof value === "number" && (value | 0) === value,
  u32: (value) => typeof value === "number" && value >>> 0 === value,
  i64: (value) =>
    Number.isSafeInteger(value) || (typeof value === "bigint" && BigInt.asIntN(64, value) === value),
  u64: (value) =>
    (Number.isSafeInteger(value) && (value as number) >= 0) ||
    (typeof value === "bigint" && BigInt.asUintN(64, value) === value),
};

type Check = (i: number, value: unknown) => void;

/** Most arguments are, and these fit every integer of C. */
const isSmall = (value: unknown): boolean => typeof value === "number" && (value | 0) === value && value >= 0;

/** By the number of arguments: with a list of them a call would take ten times as long. */
const GATES: readonly ((native: Native, check: Check) => Native)[] = [
  (native) => native,
  (native, check) => (a) => {
    if (!isSmall(a)) check(0, a);
    return native(a);
  },
  (native, check) => (a, b) => {
    if (!isSmall(a)) check(0, a);
    if (!isSmall(b)) check(1, b);
    return native(a, b);
  },
  (native, check) => (a, b, c) => {
    if (!isSmall(a)) check(0, a);
    if (!isSmall(b)) check(1, b);
    if (!isSmall(c)) check(2, c);
    return native(a, b, c);
  },
  (native, check) => (a, b, c, d) => {
    if (!isSmall(a)) check(0, a);
    if (!isSmall(b)) check(1, b);
    if (!isSmall(c)) check(2, c);
    if (!isSmall(d)) check(3, d);
    return native(a, b, c, d);
  },
  (native, check) => (a, b, c, d, e) => {
    if (!isSmall(a)) check(0, a);
    if (!isSmall(b)) check(1, b);
    if (!isSmall(c)) check(2, c);
    if (!isSmall(d)) check(3, d);
    if (!isSmall(e)) check(4, e);
    return native(a, b, c, d, e);
  },
  (native, check) => (a, b, c, d, e, f) => {
    if (!isSmall(a)) check(0, a);
    if (!isSmall(b)) check(1, b);
    if (!isSmall(c)) check(2, c);
    if (!isSmall(d)) check(3, d);
    if (!isSmall(e)) check(4, e);
    if (!isSmall(f)) check(5, f);
    return native(a, b, c, d, e, f);
  },
];

/** Functions of more arguments make system calls that take much longer. */
const gateOfMany =
  (native: Native, check: Check): Native =>
  (...args) => {
    args.forEach((value, i) => {
      check(i, value);
    });
    return native(...args);
  };

/** The one gate that each integer passes on its way to C, also when it was checked before. */
function throughGate(symbol: string, args: readonly CArgument[], native: Native): Native {
  if (args.every((type) => type === "ptr")) return native;
  const fits = args.map((type) => FITS[type]);
  const check: Check = (i, value) => {
    if (fits[i]?.(value) !== true)
      throw new RangeError(
        `${symbol}: ${String(value)} is no ${C_NAMES[args[i] as CArgument]} (argument ${i + 1})`,
      );
  };
  const gated = (GATES[args.length] ?? gateOfMany)(native, check);
  gated.behind = native;
  gated.check = check;
  return gated;
}

const C_NAMES: Readonly<Record<CArgument, string>> = {
  ptr: "pointer",
  i32: "int",
  u32: "unsigned int",
  i64: "long",
  u64: "size_t",
};

/** Memory, or anything else that one C call gives back, which belongs to a buffer. */
export interface OwnedMemory {
  address: number;
  byteLength: number;
  /** A function of `openLibrary` with the C prototype `f(address, context)`. */
  free: (...args: never[]) => unknown;
  /** The second argument of `free`; not 0. */
  context: number;
}

/**
 * Memory that is already there, as an `ArrayBuffer`. `free(address, context)` is called once: when the buffer is detached by
 * `transfer(0)`, when the garbage collector takes it, or when its thread ends, `Worker.terminate()` included.
 */
export function ownedBuffer({ address, byteLength, free, context }: OwnedMemory): ArrayBuffer {
  const { behind = free as Native } = free as Native;
  const deallocator = behind.ptr as BunPointer;
  // SAFETY: the caller owns [address, address + byteLength); after `free` no JavaScript object reaches the memory.
  return withDeallocator(address as BunPointer, 0, byteLength, context as BunPointer, deallocator);
}

/** A call of C that makes something, and the one that gives it back: `free(result, context)`. */
export interface OwnedCall {
  /** A function of `openLibrary` that returns an address, or a number that is not negative. */
  make: (...args: never[]) => unknown;
  /** At most seven. */
  args: readonly unknown[];
  free: OwnedMemory["free"];
  /** Default 1: the result is no memory. */
  byteLength?: number;
  /** Not 0. Default 1. */
  context?: number;
}

/** What `callOwned` made, and its owner. */
export interface Owned {
  result: number;
  /** Undefined for the number 0, which as an address would be null. */
  buffer: ArrayBuffer | undefined;
}

/**
 * Makes something that belongs to a buffer from its first moment on, as with `ownedBuffer`: also when the thread is terminated
 * while C makes it. Termination strikes where a JavaScript function begins, a loop turns or Bun leaves its fast path, so
 * nothing of that may stand between the two native calls.
 * @returns undefined when C failed: errno is as C left it
 */
export function callOwned({ make, args, free, byteLength = 1, context = 1 }: OwnedCall): Owned | undefined {
  const { behind: native = make as Native, check } = make as Native;
  const { behind: nativeFree = free as Native } = free as Native;
  const deallocator = nativeFree.ptr as BunPointer;
  if (check !== undefined) for (let i = 0; i < args.length; i++) check(i, args[i]);
  const [a, b, c, d, e, f, g] = args.map(asFast);
  const result = native(a, b, c, d, e, f, g);
  if (typeof result !== "number" || result < 0) return undefined;
  if (result === 0) return { result, buffer: undefined };
  try {
    // SAFETY: as in ownedBuffer.
    const buffer = withDeallocator(result as BunPointer, 0, byteLength, context as BunPointer, deallocator);
    return { result, buffer };
  } catch (error) {
    nativeFree(result, context);
    throw error;
  }
}

/**
 * The same argument on Bun's fast path: a call with null, or with a number beyond 32 bits, gives no result when the thread is
 * terminated meanwhile, though C has returned one.
 */
function asFast(value: unknown): unknown {
  if (value === null) return 0;
  return typeof value === "number" && (value | 0) !== value ? BigInt(value) : value;
}

/** Bun's types leave the last two parameters out. */
const withDeallocator = toArrayBuffer as (
  address: BunPointer,
  byteOffset: number,
  byteLength: number,
  context: BunPointer,
  deallocator: BunPointer,
) => ArrayBuffer;

/** Where a byte of `view` lives. Valid as long as the view is alive and not detached. */
export function addressOf(view: NodeJS.TypedArray | DataView, byteOffset = 0): number {
  return ptr(view, byteOffset);
}

/** Reads an `int` at an address that libc gave. */
export function readInt32(address: number): number {
  // SAFETY: the caller got the address of an int that lives as long as the thread.
  return read.i32(address as BunPointer, 0);
}
