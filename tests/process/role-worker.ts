/** A worker that counts up under the writer lock, then tells so. */
import { Editor } from "../../src/index.ts";
import { Robot } from "../record/structs.ts";

declare const self: Worker;

self.onmessage = ({ data: { dir, rounds } }: MessageEvent<{ dir: string; rounds: number }>) => {
  using editor = new Editor(Robot, { dir });
  for (let round = 0; round < rounds; round++) {
    editor.edit((data) => {
      data.count += 1;
      data.twin = data.count;
    });
  }
  self.postMessage("done");
};
