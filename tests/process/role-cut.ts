/** Holds a file open that is cut short; must find out at its next lock and not die. Lines on stdin steer it. */
import { Editor, Reader, ShmError } from "../../src/index.ts";
import { Robot } from "../record/structs.ts";

const options = { dir: process.argv[2] ?? ".", lockDir: process.argv[2] };
using editor = new Editor(Robot, options);
using reader = new Reader(Robot, options);
editor.set("count", 1);

function attempt(what: () => unknown): string {
  try {
    return String(what());
  } catch (error) {
    if (error instanceof ShmError) return error.code;
    throw error;
  }
}

const uses = {
  get: () => reader.get("count"),
  read: () => reader.read((data) => data.count),
  lock: () => reader.lock().release(),
  tryLock: () => reader.tryLock()?.release(),
  edit: () =>
    editor.edit((data) => {
      data.count += 1;
      return data.count;
    }),
  set: () => editor.set("twin", 1),
  touch: () => editor.touch(),
  clear: () => editor.clear(),
};

console.log("ready");
for await (const _ of console) {
  console.log(JSON.stringify(Object.entries(uses).map(([name, use]) => `${name} ${attempt(use)}`)));
}
