/** What versions.ts measures of one checkout. */
import { join } from "node:path";

export type Row = [name: string, call: () => unknown, calls: number];

/** Of the checkout at `root`, with files in `dir`. */
export async function rowsOf(root: string, dir: string): Promise<Row[]> {
  const { array, c_double, c_int32, Editor, field, Manager, MmapStructure, Reader } = await import(
    join(root, "src/index.ts")
  );
  const hasRooms = await Bun.file(join(root, "src/document/index.ts")).exists();
  const { JsonMap } = await import(join(root, "src", hasRooms ? "document" : "json", "index.ts"));
  class Robot extends MmapStructure {
    declare count: number;
    declare values: Float64Array;
  }
  field(c_int32)(Robot.prototype, "count");
  field(array(c_double, 80))(Robot.prototype, "values");
  const manager = new Manager(Robot, { dir, create: true });
  const editor = new Editor(Robot, { dir });
  const reader = new Reader(Robot, { dir });
  const master = new JsonMap({ dir, file: "document", role: "master" });
  const follower = new JsonMap({ dir, file: "document", role: "follower" });
  const { live } = manager;
  const edit = (data: Robot): void => {
    data.count = (data.count + 1) | 0;
  };
  const into = reader.snapshot();
  let n = 0;
  return [
    ["edit(fn), one store", () => editor.edit(edit), 500],
    ["set(path, value)", () => editor.set("count", n++ & 255), 500],
    ["lock(), release() of a Reader", () => reader.lock().release(), 500],
    ["get(path)", () => reader.get("count"), 1000],
    ["snapshot(), 664 B", () => reader.snapshot(), 10_000],
    ["snapshot(into), 664 B", () => reader.snapshot(into), 20_000],
    ["version", () => reader.version, 2000],
    ["a field of live", () => (live.count = (live.count + 1) | 0), 500_000],
    ["new Reader, close()", () => new Reader(Robot, { dir }).close(), 20],
    ["a document: write", () => master.write({ n: n++ }), 300],
    ["a document: read", () => follower.read(), 1000],
  ];
}
