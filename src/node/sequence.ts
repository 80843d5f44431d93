/**
 * Storing the sequence by positioned writes, so that a process that maps the file never sees a number that was not meant.
 *
 * Only a write of one byte is certain to be seen whole. From an even sequence to the next odd one only the lowest byte
 * changes, and mostly from there to the next even one as well. Where more bytes change, the number is first moved far away:
 *
 *     highest byte, its top bit flipped     2^31 away: a number that no reader remembers and no writer will reach soon
 *     the two bytes in the middle           the same parity still
 *     the lowest byte                       the step itself, even to odd or odd to even
 *     highest byte, as it is to be          the same parity
 *
 * A reader that looks in between sees a change and looks again. A writer that is killed in between leaves a sequence that
 * means what it says: even, whole; odd, to be repaired.
 */
import { writeByte } from "./positioned.ts";

/** From where to where the sequence goes, as int32. */
export interface SequenceStep {
  readonly current: number;
  readonly value: number;
}

const TOP_BIT = 0x80;
const byteOf = (value: number, index: number): number => (value >>> (8 * index)) & 0xff;

/**
 * Stores a sequence.
 *
 * An odd one that ends in 0xff would be followed by one with a carry while a writer is at work; marks of blocks name the odd
 * sequence, which must not change then. So it is passed over: the sequence, still even, goes on to the next number that ends in
 * 0x00, and the odd one after that is stored.
 * @returns what was stored
 */
export function storeSequence(fd: number, byteOffset: number, step: SequenceStep, path: string): number {
  const { current, value } = step;
  const passesOver = byteOf(value, 0) === 0xff && (current & 1) === 0;
  if (!passesOver) {
    walk(fd, byteOffset, step, path);
    return value;
  }
  const even = (value + 1) | 0;
  walk(fd, byteOffset, { current, value: even }, path);
  walk(fd, byteOffset, { current: even, value: even + 1 }, path);
  return even + 1;
}

function walk(fd: number, byteOffset: number, { current, value }: SequenceStep, path: string): void {
  const put = (index: number, byte: number): void => writeByte(fd, byte, byteOffset + index, path);
  if (current >>> 8 === value >>> 8) {
    put(0, byteOf(value, 0));
    return;
  }
  put(3, byteOf(current, 3) ^ TOP_BIT);
  put(2, byteOf(value, 2));
  put(1, byteOf(value, 1));
  put(0, byteOf(value, 0));
  put(3, byteOf(value, 3));
}
