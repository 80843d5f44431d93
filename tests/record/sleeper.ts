/** Sleeps on an atomic until it is told to go; when the file is replaced it goes on in the new one. */

import type { Atomic } from "../../src/index.ts";
import { atomic, c_int32, Editor, field, MmapStructure, SupersededError } from "../../src/index.ts";

export class Signal extends MmapStructure {
  @field(atomic(c_int32)) go!: Atomic<number>;
}

function sleep(dir: string): void {
  using editor = new Editor(Signal, { dir });
  console.log("ready");
  while (editor.live.go.load() === 0) {
    try {
      editor.live.go.wait(0);
    } catch (error) {
      if (!(error instanceof SupersededError)) throw error;
      console.log(error.code);
    }
  }
  console.log("gone");
}

if (import.meta.main) sleep(process.argv[2]!);
