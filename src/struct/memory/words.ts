/**
 * Memory that others change, as typed arrays. DataView's methods go byte by byte until the code around them is compiled
 * (measured: of two-byte loads 2 % saw half of another program's store, and so did it of the stores in the other byte
 * order); an element of a typed array is loaded and stored at once from the first time on.
 */

const scratch = new DataView(new ArrayBuffer(8));

/** Typed arrays over a buffer, each made at its first use. */
export class Words {
  readonly #buffer: ArrayBufferLike;
  #u8: Uint8Array | undefined;
  #i8: Int8Array | undefined;
  #u16: Uint16Array | undefined;
  #i16: Int16Array | undefined;
  #u32: Uint32Array | undefined;
  #i32: Int32Array | undefined;
  #f32: Float32Array | undefined;
  #u64: BigUint64Array | undefined;
  #i64: BigInt64Array | undefined;
  #f64: Float64Array | undefined;

  constructor(buffer: ArrayBufferLike) {
    this.#buffer = buffer;
  }

  #count(size: number): number {
    return Math.floor(this.#buffer.byteLength / size);
  }

  get Uint8(): Uint8Array {
    this.#u8 ??= new Uint8Array(this.#buffer);
    return this.#u8;
  }
  get Int8(): Int8Array {
    this.#i8 ??= new Int8Array(this.#buffer);
    return this.#i8;
  }
  get Uint16(): Uint16Array {
    this.#u16 ??= new Uint16Array(this.#buffer, 0, this.#count(2));
    return this.#u16;
  }
  get Int16(): Int16Array {
    this.#i16 ??= new Int16Array(this.#buffer, 0, this.#count(2));
    return this.#i16;
  }
  get Uint32(): Uint32Array {
    this.#u32 ??= new Uint32Array(this.#buffer, 0, this.#count(4));
    return this.#u32;
  }
  get Int32(): Int32Array {
    this.#i32 ??= new Int32Array(this.#buffer, 0, this.#count(4));
    return this.#i32;
  }
  get Float32(): Float32Array {
    this.#f32 ??= new Float32Array(this.#buffer, 0, this.#count(4));
    return this.#f32;
  }
  get BigUint64(): BigUint64Array {
    this.#u64 ??= new BigUint64Array(this.#buffer, 0, this.#count(8));
    return this.#u64;
  }
  get BigInt64(): BigInt64Array {
    this.#i64 ??= new BigInt64Array(this.#buffer, 0, this.#count(8));
    return this.#i64;
  }
  get Float64(): Float64Array {
    this.#f64 ??= new Float64Array(this.#buffer, 0, this.#count(8));
    return this.#f64;
  }
}

type Accessor = keyof Words;

/** For the other byte order: a number of `Uint` bits with its bytes turned around, as a value of the type. */
export const turned = {
  load16: (word: number, accessor: "Uint16" | "Int16"): number => {
    scratch.setUint16(0, word, true);
    return accessor === "Uint16" ? scratch.getUint16(0) : scratch.getInt16(0);
  },
  load32: (word: number, accessor: "Uint32" | "Int32" | "Float32"): number => {
    scratch.setUint32(0, word, true);
    if (accessor === "Float32") return scratch.getFloat32(0);
    return accessor === "Uint32" ? scratch.getUint32(0) : scratch.getInt32(0);
  },
  load64: (word: bigint, accessor: "BigUint64" | "BigInt64" | "Float64"): number | bigint => {
    scratch.setBigUint64(0, word, true);
    if (accessor === "Float64") return scratch.getFloat64(0);
    return accessor === "BigUint64" ? scratch.getBigUint64(0) : scratch.getBigInt64(0);
  },
  store: (value: never, accessor: Accessor): number | bigint => {
    scratch[`set${accessor}`](0, value);
    if (accessor.endsWith("16")) return scratch.getUint16(0, true);
    return accessor.endsWith("32") ? scratch.getUint32(0, true) : scratch.getBigUint64(0, true);
  },
};

/** An element beyond a buffer that is gone. */
export function gone(): never {
  throw new TypeError("Underlying ArrayBuffer has been detached from the view or out-of-bounds");
}
