/**
 * All that the library needs of a foreign-function interface, and the only file that imports one (bun:ffi). To run on
 * another runtime, write these five functions for it: `openLibrary`, `bufferAt`, `ownedBuffer`, `addressOf`, `readInt32`.
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
  const { symbols } = dlopen(name, bunTable);
  const gated = Object.entries(table).map(([symbol, { args }]) => [
    symbol,
    throughGate(symbol, args, symbols[symbol] as unknown as Native),
  ]);
  return Object.fromEntries(gated) as Symbols<T>;
}

type Native = (...args: unknown[]) => unknown;

/** What an argument must be, as source text: of what does not fit C would take the low bits, and do something else. */
const GATES: Readonly<Record<CArgument, (name: string) => string | undefined>> = {
  ptr: () => undefined,
  i32: (name) => `typeof ${name} !== "number" || (${name} | 0) !== ${name}`,
  u32: (name) => `typeof ${name} !== "number" || (${name} >>> 0) !== ${name}`,
  i64: (name) =>
    `!Number.isSafeInteger(${name}) && (typeof ${name} !== "bigint" || BigInt.asIntN(64, ${name}) !== ${name})`,
  u64: (name) =>
    `!(Number.isSafeInteger(${name}) && ${name} >= 0) && (typeof ${name} !== "bigint" || BigInt.asUintN(64, ${name}) !== ${name})`,
};

/**
 * The one gate that each integer passes on its way to C, also when it was checked before. The function is written out, so that a
 * call costs no more than its comparisons.
 */
function throughGate(symbol: string, args: readonly CArgument[], native: Native): Native {
  const names = args.map((_, i) => `a${i}`);
  const checks = args.flatMap((type, i) => {
    const wraps = GATES[type](names[i] as string);
    return wraps === undefined ? [] : [`if (${wraps}) refuse(${i}, a${i});`];
  });
  if (checks.length === 0) return native;
  const list = names.join(", ");
  const make = new Function(
    "native",
    "refuse",
    `return (${list}) => { ${checks.join(" ")} return native(${list}); };`,
  );
  const refuse = (i: number, value: unknown): never => {
    throw new RangeError(
      `${symbol}: ${String(value)} is no ${C_NAMES[args[i] as CArgument]} (argument ${i + 1})`,
    );
  };
  // The address of the C function, for `ownedBuffer`.
  return Object.assign(make(native, refuse) as Native, { ptr: (native as { ptr?: unknown }).ptr });
}

const C_NAMES: Readonly<Record<CArgument, string>> = {
  ptr: "pointer",
  i32: "int",
  u32: "unsigned int",
  i64: "long",
  u64: "size_t",
};

/**
 * Memory that is already there, as an `ArrayBuffer`. Nothing frees the memory when the buffer goes.
 * @param address where it starts; the caller keeps it mapped until it has detached the buffer
 */
export function bufferAt(address: number, byteLength: number): ArrayBuffer {
  // SAFETY: the caller owns [address, address + byteLength) for as long as the buffer is attached.
  return toArrayBuffer(address as BunPointer, 0, byteLength);
}

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
 * Like `bufferAt`, but `free(address, context)` is called once: when the buffer is detached by `transfer(0)`, when the garbage
 * collector takes it, or when its thread ends, `Worker.terminate()` included.
 */
export function ownedBuffer({ address, byteLength, free, context }: OwnedMemory): ArrayBuffer {
  const deallocator = (free as unknown as { ptr: BunPointer }).ptr;
  // SAFETY: as in bufferAt; after `free` no JavaScript object reaches the memory.
  return withDeallocator(address as BunPointer, 0, byteLength, context as BunPointer, deallocator);
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
