/** The least that wakes an event loop by a futex: a thread that sleeps on it, and wakes the loop by `Atomics.waitAsync`, or by a message. */

import { openFile } from "../../src/sys/file.ts";
import { futexWait } from "../../src/sys/libc/futex.ts";
import { Mapping } from "../../src/sys/mapping.ts";

declare const self: Worker;

export interface FutexThreadStart {
  readonly path: string;
  /** The word of the file to sleep on; 0 unless given. */
  readonly word?: number;
  /** Without it the thread sends a message. */
  readonly wakes?: Int32Array<SharedArrayBuffer>;
}

self.onmessage = ({ data }: MessageEvent<FutexThreadStart>) => {
  const { path, word = 0, wakes } = data;
  const words = new Int32Array(Mapping.map(openFile(path, 2), { byteLength: 64, path }).buffer);
  for (let seen = Atomics.load(words, word); ; seen = Atomics.load(words, word)) {
    futexWait(words, word, seen, 1000);
    if (wakes === undefined) {
      self.postMessage(0);
      continue;
    }
    Atomics.add(wakes, 0, 1);
    Atomics.notify(wakes, 0);
  }
};
