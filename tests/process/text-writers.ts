/** Rewrites text in every way that the library has: text-writers.ts NAME DIRECTORY MILLISECONDS [KIND …] */
import { join } from "node:path";
import { assign, Editor, offsetof, viewOf } from "../../src/index.ts";
import { MemoryMap } from "../../src/mmap/index.ts";
import { SharedMemory } from "../../src/posix/index.ts";
import { documentTextAt, LINE, Notes, placeFromArguments, takeTurns, valuesAt } from "./text-place.ts";

const place = placeFromArguments(process.argv.slice(2));
using editor = new Editor(Notes, { name: place.name });
using memory = new SharedMemory({ name: place.name });
const shared = memory.viewOf(Notes);
using map = new MemoryMap(editor.path, 0);
const mapped = viewOf(Notes, map);
using document = new MemoryMap(place.document, 0);
using record = new MemoryMap(place.record, 0);
const wholeRecord = record.slice();
const lines = ["Line_.channel", "Line_.queue"].map((file) => {
  const map = new MemoryMap(join(place.dir, file), 0);
  return { map, at: map.find(LINE, 0) };
});
const [text, long] = [offsetof(Notes, "text"), offsetof(Notes, "long")];

const writers: Record<string, (step: number) => void> = {
  edit: (step) => editor.edit((notes) => assign(notes, valuesAt(step))),
  set: (step) => editor.set("text", valuesAt(step).text),
  session: (step) => {
    using session = editor.lock();
    session.data.short = valuesAt(step).short;
    session.data.long = valuesAt(step).long;
  },
  live: (step) => {
    editor.live.text = valuesAt(step).text;
    editor.live.short = valuesAt(step).short;
  },
  sharedMemory: (step) => {
    shared.text = valuesAt(step).text;
    shared.long = valuesAt(step).long;
  },
  memoryMap: (step) => void assign(mapped, valuesAt(step)),
  slices: (step) => {
    map.setSlice(valuesAt(step).text, text, text + Buffer.byteLength(valuesAt(step).text));
    map.setSlice(valuesAt(step).long, long, long + Buffer.byteLength(valuesAt(step).long));
  },
  bytes: (step) => {
    map.bytes.fill(0x61, text, text + 256);
    map.bytes.set(Buffer.from(valuesAt(step).text), text);
  },
};

const textBytes = [0, 1].map((step) => Buffer.from(valuesAt(step).text));

const both = Object.fromEntries(
  Object.entries(writers).map(([kind, write]) => [
    kind,
    (step: number) => {
      write(step);
      document.bytes.set(documentTextAt(step), 3);
      for (const { map, at } of lines) map.bytes.set(textBytes[step & 1]!, at);
      // Its schema and its footer stand at the end.
      record.bytes.set(
        step % 3 === 0 ? wholeRecord : documentTextAt(step),
        step % 3 === 0 ? 0 : record.length - 60 * (step % 40) - 60,
      );
    },
  ]),
);
console.log("ready");
console.log(JSON.stringify(takeTurns(both, place, 23)));
