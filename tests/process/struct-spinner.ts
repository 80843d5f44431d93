/**
 * `bun struct-spinner.ts <file> <way>`: waits for one field after the other in loops that do nothing else, so that the
 * compiler would hoist the reads if it could. Says "<turn>" when it sees one, and waits for the next. The way says how
 * it comes by its view.
 */
import { MemoryMap } from "../../src/mmap/memory-map.ts";
import { viewOf } from "../../src/struct/index.ts";
import { Shared } from "./struct-shared.ts";

const [path = "", way] = process.argv.slice(2);
const map = new MemoryMap(path, 4096, { access: way === "read-only map" ? "read" : "write" });
const view =
  way === "bytes of a map"
    ? viewOf(Shared, map.bytes)
    : viewOf(Shared, map, way === "plain map" ? { fresh: false } : {});

// A loop each: one that took the field as a parameter would be compiled for all of them.
const loops: (() => void)[] = [
  () => {
    while (view.plain !== 1);
  },
  () => {
    while (view.wide !== 2);
  },
  () => {
    while (view.big !== 3n);
  },
  () => {
    while (view.point.x !== 4);
  },
  () => {
    while (view.list.at(1) !== 5);
  },
  () => {
    while (view.list[1] !== 6);
  },
  () => {
    while (!view.flag);
  },
  () => {
    while (view.bits !== 8);
  },
  () => {
    while (view.points.at(1).x !== 9);
  },
  () => {
    const { point } = view;
    while (point.x !== 10);
  },
  () => {
    while (view.text !== "turn 11");
  },
  () => {
    while (view.counter.load() !== 12);
  },
];
for (const [i, loop] of loops.entries()) {
  loop();
  console.log(i + 1);
}
// Not a field, but a byte of the map itself.
while (map.at(-1) !== 13);
console.log(13);
