/**
 * Memory that others change, as typed arrays. DataView's methods go byte by byte until the code around them is compiled
 * (measured: of two-byte loads 2 % saw half of another program's store, and so did it of the stores in the other byte
 * order); an element of a typed array is loaded and stored at once from the first time on.
 */

const scratch = new DataView(new ArrayBuffer(8));

/** Typed arrays over a buffer. */
export class Words {
  readonly Uint8: Uint8Array;
  readonly Int8: Int8Array;
  readonly Uint16: Uint16Array;
  readonly Int16: Int16Array;
  readonly Uint32: Uint32Array;
  readonly Int32: Int32Array;
  readonly Float32: Float32Array;
  readonly BigUint64: BigUint64Array;
  readonly BigInt64: BigInt64Array;
  readonly Float64: Float64Array;

  constructor(buffer: ArrayBufferLike) {
    const count = (size: number) => Math.floor(buffer.byteLength / size);
    this.Uint8 = new Uint8Array(buffer);
    this.Int8 = new Int8Array(buffer);
    this.Uint16 = new Uint16Array(buffer, 0, count(2));
    this.Int16 = new Int16Array(buffer, 0, count(2));
    this.Uint32 = new Uint32Array(buffer, 0, count(4));
    this.Int32 = new Int32Array(buffer, 0, count(4));
    this.Float32 = new Float32Array(buffer, 0, count(4));
    this.BigUint64 = new BigUint64Array(buffer, 0, count(8));
    this.BigInt64 = new BigInt64Array(buffer, 0, count(8));
    this.Float64 = new Float64Array(buffer, 0, count(8));
  }
}

/** Of buffers, not of regions: there may be many regions of one. */
const known = new WeakMap<ArrayBufferLike, Words>();

export function wordsOf(buffer: ArrayBufferLike): Words {
  const words = known.get(buffer) ?? new Words(buffer);
  known.set(buffer, words);
  return words;
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
