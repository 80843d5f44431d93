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
  return dlopen(name, bunTable).symbols as unknown as Symbols<T>;
}

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
