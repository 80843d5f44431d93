/** Imports, opens an existing file and reads a field: what start.bench.ts measures. open.ts <dir> */
const start = Bun.nanoseconds();
const { Reader } = await import("../../src/index.ts");
const imported = Bun.nanoseconds();
const { DemoMmapStructure } = await import("../../demo/demo-struct.ts");
const open = (): number => {
  using reader = new Reader(DemoMmapStructure, { dir: process.argv[2] ?? "" });
  return reader.read((data) => data.multi_pts.multi_points.at(3).x);
};
const value = open();
const opened = Bun.nanoseconds();
if (value !== 3.5) throw new Error(`read ${value}`);
open();
const again = Bun.nanoseconds();
console.log(JSON.stringify({ import: imported - start, first: opened - imported, again: again - opened }));

export {};
