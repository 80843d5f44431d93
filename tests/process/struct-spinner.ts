/**
 * `bun struct-spinner.ts <file> <read|write> <mode>`: waits for one field after the other in loops that do nothing
 * else, so that the compiler would hoist the reads if it could. Says "<turn>" when it sees one, and waits for the next.
 */

import { viewAt } from "../../src/struct/functions.ts";
import { Region } from "../../src/struct/memory/memory.ts";
import { openFile } from "../../src/sys/file.ts";
import { O_RDONLY, O_RDWR } from "../../src/sys/libc/constants.ts";
import { Mapping } from "../../src/sys/mapping.ts";
import { Shared } from "./struct-shared.ts";

const [path = "", access, mode] = process.argv.slice(2);
const readOnly = access === "read";
using mapping = Mapping.map(openFile(path, readOnly ? O_RDONLY : O_RDWR), {
  byteLength: 4096,
  access: readOnly ? "read" : "write",
});
const view = viewAt(Shared, new Region(mapping.buffer, 0, 4096, Number(mode)), 0);

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
