/** bun mmap-tag.ts <tagName> <index>: opens named memory, making it if need be, and leaves a mark at the index. */
import { MemoryMap } from "../../src/mmap/index.ts";

const [tagName, index] = process.argv.slice(2);
using map = new MemoryMap(-1, 100_000, { tagName });
map.set(Number(index), Number(index) + 1);
