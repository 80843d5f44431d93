/**
 * The first access of the very first class of a process, 20 fields, with the library as packed. first-class.ts <module of the library>
 */
const { c_int32, create, field, loadStructs, MmapStructure } = (await import(
  process.argv[2] ?? ""
)) as typeof import("../../src/index.ts");
// Loads the code that knows structs in memory, as it is loaded in the bench of classes, too. That there is no struct is an error.
try {
  loadStructs({});
} catch {}

class Wide extends MmapStructure {
  [name: `f${number}`]: number;
}
for (let i = 0; i < 20; i++) field(c_int32)(Wide.prototype, `f${i}`);
const start = Bun.nanoseconds();
const view = create(Wide);
view.f0 = 1;
if (view.f0 !== 1) throw new Error("not what was stored");
console.log(JSON.stringify({ firstClass: Bun.nanoseconds() - start }));

export {};
