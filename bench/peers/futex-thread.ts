/** The least that wakes an event loop by a futex: a thread that sleeps on it, and wakes the loop through `Atomics.waitAsync`. */

import { openFile } from "../../src/sys/file.ts";
import { futexWait } from "../../src/sys/libc/futex.ts";
import { Mapping } from "../../src/sys/mapping.ts";

declare const self: Worker;

self.onmessage = ({ data }: MessageEvent<{ path: string; wakes: Int32Array<SharedArrayBuffer> }>) => {
  const { path, wakes } = data;
  const words = new Int32Array(Mapping.map(openFile(path, 2), { byteLength: 64, path }).buffer);
  for (let seen = Atomics.load(words, 0); ; seen = Atomics.load(words, 0)) {
    futexWait(words, 0, seen, 1000);
    Atomics.add(wakes, 0, 1);
    Atomics.notify(wakes, 0);
  }
};
