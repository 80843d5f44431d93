/** Writes into the files of a directory while it may: mutation-tamperer.ts DIRECTORY CONTROL SEED */
import { closeSync, openSync, readdirSync, writeSync } from "node:fs";
import { join } from "node:path";
import { MemoryMap } from "../../src/mmap/index.ts";
import { randomFrom } from "../support/random.ts";
import { lengthOf } from "./mutation-place.ts";

const [dir, controlPath, seed] = process.argv.slice(2) as [string, string, string];
using control = new MemoryMap(controlPath, 0);
const words = new Int32Array(control.bytes.buffer, control.bytes.byteOffset, 2);
const random = randomFrom(Number(seed));

function namesIn(): string[] {
  try {
    return readdirSync(dir).filter((name) => !name.endsWith(".lock"));
  } catch {
    return [];
  }
}

/** Some stores into one file, its length as it is. */
function tamper(path: string): void {
  const length = lengthOf(path);
  if (length < 8) return;
  let fd: number;
  try {
    fd = openSync(path, "r+");
  } catch {
    return;
  }
  const word = new Uint8Array(8);
  for (let i = 0; i < 20 && Atomics.load(words, 0) === 1; i++) {
    for (let j = 0; j < word.length; j++) word[j] = random.pick([0, 1, 255, random.whole(0, 255)]);
    const at = random.oneIn(2)
      ? random.whole(0, length - 8)
      : length - random.whole(8, Math.min(length, 128));
    writeSync(fd, word, 0, random.pick([1, 4, 8]), at & ~3);
  }
  closeSync(fd);
}

const parent = process.ppid;
console.log("ready");
// The other process may be killed at any time.
while (process.ppid === parent) {
  if (Atomics.load(words, 0) !== 1) {
    Bun.sleepSync(1);
    continue;
  }
  Atomics.store(words, 1, 1);
  const names = Atomics.load(words, 0) === 1 ? namesIn() : [];
  if (names.length > 0) tamper(join(dir, random.pick(names)));
  Atomics.store(words, 1, 0);
}
