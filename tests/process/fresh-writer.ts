/** Changes the first 32-bit word of a file again and again until it is killed: `fresh-writer.ts <file>`. */
import { statSync } from "node:fs";
import { openFile } from "../../src/sys/file.ts";
import { Mapping } from "../../src/sys/mapping.ts";

const path = process.argv[2] ?? "";
const O_RDWR = 2;
const mapping = Mapping.map(openFile(path, O_RDWR), { byteLength: statSync(path).size, path });
const words = new Int32Array(mapping.buffer);
console.log("ready");
for (let i = 0; ; i++) Atomics.store(words, 0, i & 0xffff);
