/** A thread that keeps a file mapped until it is told to close. */
import { MemoryMap } from "../../src/mmap/index.ts";

declare const self: Worker;
let map: MemoryMap | undefined;
self.onmessage = ({ data }: MessageEvent<string>) => {
  map?.close();
  map = data === "close" ? undefined : new MemoryMap(data, 0, { access: "read" });
  self.postMessage("done");
};
