/**
 * Imports, opens an existing file and reads a field: what start.bench.ts measures. With `often` it does so until all
 * of it is compiled. open.ts <dir> <module of the library> <module of the struct> [often]
 */
const start = Bun.nanoseconds();
const [dir = "", library = "", struct = "", mode] = process.argv.slice(2);
const { Reader } = (await import(library)) as typeof import("../../src/index.ts");
const imported = Bun.nanoseconds();
const { DemoMmapStructure } = (await import(struct)) as typeof import("../../demo/demo-struct.ts");
const defined = Bun.nanoseconds();
const open = (): number => {
  using reader = new Reader(DemoMmapStructure, { dir });
  return reader.read((data) => data.multi_pts.multi_points.at(3).x);
};
const value = open();
const opened = Bun.nanoseconds();
if (value !== 3.5) throw new Error(`read ${value}`);
open();
const again = Bun.nanoseconds();
const metrics = {
  import: imported - start,
  define: defined - imported,
  first: opened - imported,
  again: again - opened,
};
console.log(JSON.stringify(mode === "often" ? { often: often() } : metrics));

/** Nanoseconds of one of 500, after 2,000 others. */
function often(): number {
  for (let i = 0; i < 2000; i++) open();
  const practised = Bun.nanoseconds();
  for (let i = 0; i < 500; i++) open();
  return (Bun.nanoseconds() - practised) / 500;
}

export {};
