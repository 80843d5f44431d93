/** SHA-256 (FIPS 180-4), as WebCrypto's is asynchronous and each runtime has another synchronous one. */

/** FIPS 180-4, 4.2.2 and 5.3.3. Made at the first hash: it takes a millisecond, and importing the library hashes nothing. */
interface Tables {
  readonly initial: Uint32Array;
  readonly rounds: Uint32Array;
}
let madeTables: Tables | undefined;

function tables(): Tables {
  if (madeTables !== undefined) return madeTables;
  const primes = firstPrimes(64);
  /** The first 32 bits of the fraction of a root of each prime. */
  const fractions = (root: (prime: number) => number, count: number): Uint32Array =>
    Uint32Array.from(primes.slice(0, count), (prime) => (root(prime) % 1) * 2 ** 32);
  madeTables = { initial: fractions(Math.sqrt, 8), rounds: fractions(Math.cbrt, 64) };
  return madeTables;
}

const BLOCK_BYTES = 64;

function firstPrimes(count: number): number[] {
  const found: number[] = [];
  for (let n = 2; found.length < count; n++) if (found.every((prime) => n % prime !== 0)) found.push(n);
  return found;
}

const rotate = (word: number, bits: number): number => (word >>> bits) | (word << (32 - bits));

/** The 32 bytes of the hash. */
export function sha256(message: Uint8Array): Uint8Array {
  const padded = new DataView(new ArrayBuffer(roomFor(message.length)));
  new Uint8Array(padded.buffer).set(message);
  padded.setUint8(message.length, 0x80);
  padded.setBigUint64(padded.byteLength - 8, BigInt(message.length) * 8n);
  const { initial, rounds } = tables();
  const state = initial.slice();
  const words = new Uint32Array(64);
  for (let start = 0; start < padded.byteLength; start += BLOCK_BYTES) {
    for (let i = 0; i < 16; i++) words[i] = padded.getUint32(start + 4 * i);
    expand(words);
    compress(state, words, rounds);
  }
  const hash = new DataView(new ArrayBuffer(32));
  for (const [i, word] of state.entries()) hash.setUint32(4 * i, word);
  return new Uint8Array(hash.buffer);
}

/** Whole blocks, with room for the bit behind the message and its length. */
const roomFor = (byteLength: number): number => Math.ceil((byteLength + 9) / BLOCK_BYTES) * BLOCK_BYTES;

function expand(words: Uint32Array): void {
  for (let i = 16; i < 64; i++) {
    const [a, b] = [words[i - 15] as number, words[i - 2] as number];
    const low = rotate(a, 7) ^ rotate(a, 18) ^ (a >>> 3);
    const high = rotate(b, 17) ^ rotate(b, 19) ^ (b >>> 10);
    words[i] = (words[i - 16] as number) + low + (words[i - 7] as number) + high;
  }
}

function compress(state: Uint32Array, words: Uint32Array, rounds: Uint32Array): void {
  let [a, b, c, d, e, f, g, h] = state as unknown as [
    number,
    number,
    number,
    number,
    number,
    number,
    number,
    number,
  ];
  for (let i = 0; i < 64; i++) {
    const mixed = rotate(e, 6) ^ rotate(e, 11) ^ rotate(e, 25);
    const first = (h + mixed + ((e & f) ^ (~e & g)) + (rounds[i] as number) + (words[i] as number)) | 0;
    const second = (rotate(a, 2) ^ rotate(a, 13) ^ rotate(a, 22)) + ((a & b) ^ (a & c) ^ (b & c));
    [h, g, f, e, d, c, b, a] = [g, f, e, (d + first) | 0, c, b, a, (first + second) | 0];
  }
  for (const [i, word] of [a, b, c, d, e, f, g, h].entries()) state[i] = (state[i] as number) + word;
}
