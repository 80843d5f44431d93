/** Numbers as types read and store them: at once where others may store at the same time (see words.ts). */
import { assertAttached, FRESH, type Memory, type Region } from "./memory.ts";
import { gone, turned, type Words } from "./words.ts";

/** Where `elementAt` finds an element. */
type Fresh = Region & { readonly words: Words };
type Accessor = keyof Words;
type Load<T> = (memory: Memory, byteOffset: number) => T;
type Store<T> = (memory: Memory, byteOffset: number, value: T) => void;

const sizeOf = (accessor: Accessor): number => Number(accessor.match(/\d+/)?.[0]) / 8;

/** Which element of the buffer's typed arrays the number is; -1 where it lies unaligned, or in memory of one's own. */
function elementAt(memory: Memory, byteOffset: number, size: number): number {
  // What a type of another author gets may be less than a region.
  const { traits = 0, byteOffset: start = 0, byteLength = 0 } = memory as Partial<Region>;
  if ((traits & FRESH) === 0 || byteOffset < 0 || byteOffset + size > byteLength) return -1;
  const index = (start + byteOffset) / size;
  return Number.isInteger(index) ? index : -1;
}

/** What the bytes are in the type's own byte order: the accessor of their typed array. */
const unturned = (size: number): Accessor => (size === 8 ? "BigUint64" : `Uint${(size * 8) as 16 | 32}`);

/** How a number of this kind is read. */
export function loadNumber<T extends number | bigint>(accessor: Accessor): Load<T> {
  const size = sizeOf(accessor);
  const turn = turned[`load${(size * 8) as 16 | 32 | 64}`] as (word: unknown, as: Accessor) => T;
  return (memory, byteOffset) => {
    const index = elementAt(memory, byteOffset, size);
    if (index < 0) return memory.view[`get${accessor}`](byteOffset, memory.littleEndian) as T;
    const { words } = memory as Fresh;
    if (memory.littleEndian || size === 1) return (words[accessor][index] ?? gone()) as T;
    return turn(words[unturned(size)][index] ?? gone(), accessor);
  };
}

/** How a number of this kind is stored. */
export function storeNumber<T extends number | bigint>(accessor: Accessor): Store<T> {
  const size = sizeOf(accessor);
  return (memory, byteOffset, value) => {
    const index = elementAt(memory, byteOffset, size);
    if (index < 0) {
      memory.view[`set${accessor}`](byteOffset, value as never, memory.littleEndian);
      return;
    }
    assertAttached(memory);
    const { words } = memory as Fresh;
    if (memory.littleEndian || size === 1) words[accessor][index] = value;
    else words[unturned(size)][index] = turned.store(value as never, accessor);
  };
}
