/** What the compiler must make of a struct class: what it is built from, seen as, and where its fields are. Never run. */

import type { Editor } from "../../src/record/editor.ts";
import type { AnyStruct } from "../../src/record/open-reader.ts";
import type { Reader } from "../../src/record/reader.ts";
import {
  type Anonymous,
  type ArrayType,
  type Atomic,
  type AtomicType,
  anonymous,
  array,
  assign,
  atomic,
  type CArray,
  type CheckedPath,
  c_double,
  c_float,
  c_int32,
  c_int64,
  chars,
  create,
  type DeepReadonly,
  type FieldNames,
  field,
  type Init,
  type InitValue,
  type IntegerArray,
  layoutOf,
  MmapStructure,
  nested,
  offsetof,
  type Path,
  type PathValue,
  type Plain,
  type PlainValue,
  type ReadonlyAtomic,
  type ScalarType,
  Struct,
  type StructArray,
  type TypedArray,
  toObject,
  viewOf,
} from "../../src/struct/index.ts";

type Same<A, B> = (<X>() => X extends A ? 1 : 2) extends <X>() => X extends B ? 1 : 2 ? true : false;
const same = <A, B>(_: Same<A, B>): void => {};

class Point extends Struct {
  @field(c_double) x!: number;
  @field(c_double) y!: number;
  get length() {
    return Math.hypot(this.x, this.y);
  }
  scale(by: number) {
    this.x *= by;
  }
}
class Robot extends MmapStructure {
  @field(c_int32) mode!: number;
  @field(chars(8)) name!: string;
  @field(c_int64) ticks!: bigint;
  @nested(Point) at!: Point;
  @nested(Point, 24) path!: StructArray<Point>;
  @field(array(c_int32, 4)) joints!: Int32Array;
  @field(array(c_int64, 4)) times!: BigInt64Array;
  @field(array(c_float, 2, 2)) grid!: CArray<Float32Array>;
  @field(array(chars(4), 2)) labels!: CArray<string>;
  @field(atomic(c_int32)) counter!: Atomic<number>;
}

// ---- Names: fields, but neither methods nor getters ----
same<FieldNames<Point>, "x" | "y">(true);
same<
  FieldNames<Robot>,
  "header" | "mode" | "name" | "ticks" | "at" | "path" | "joints" | "times" | "grid" | "labels" | "counter"
>(true);

class Payload extends Struct {
  @field(c_double) f!: number;
}

export interface Value extends Payload {}
// biome-ignore lint/suspicious/noUnsafeDeclarationMerging: so the compiler learns of the members of an anonymous one
export class Value extends MmapStructure {
  @field(c_int32) kind!: number;
  @anonymous(Payload) payload!: Anonymous<Payload>;
}
same<FieldNames<Value>, "header" | "kind" | "f">(true);
same<keyof Plain<Value>, "header" | "kind" | "f">(true);
create(Value, toObject(create(Value)));
create(Value, { kind: 1, f: 2 });
export const value: [number, number] = [create(Value).payload.f, create(Value).f];
// @ts-expect-error C has no name for it
create(Value, { payload: { f: 2 } });
same<
  keyof ReturnType<typeof layoutOf<Value>>["fields"] & ("header" | "kind" | "payload" | "f"),
  "header" | "kind" | "payload" | "f"
>(true);
export const places: number[] = [layoutOf(Value).fields.f.offset, layoutOf(Value).fields.payload.offset];
// @ts-expect-error a method is no field
layoutOf(Point).fields.scale.offset;

// ---- Init ----
export const init: Init<Robot> = {
  mode: 1,
  at: { x: 1 },
  path: [{ x: 1 }, {}],
  joints: new Set([1, 2, 3, 4]),
  times: [1n, 2n],
  grid: [[1, 2], new Float32Array(2)],
  labels: ["a", "b"],
  counter: 5,
};
create(Robot, { at: create(Point), counter: create(Robot).counter });
create(Robot, create(Robot));
assign(create(Robot), { header: { time_stamp: 0 } });
// @ts-expect-error a number is wanted
create(Robot, { mode: "1" });
// @ts-expect-error
create(Robot, { ticks: 1 });
// @ts-expect-error no such member
create(Robot, { speed: 1 });
// @ts-expect-error no such member of the nested struct
create(Robot, { at: { z: 1 } });
// @ts-expect-error a getter is no field
create(Robot, { at: { length: 1 } });
// @ts-expect-error a method is no field
create(Robot, { at: { scale: () => {} } });
// @ts-expect-error no iterable
create(Robot, { path: { x: 1 } });
// @ts-expect-error
create(Robot, { path: [{ x: "1" }] });
// @ts-expect-error
create(Robot, { times: [1] });
// @ts-expect-error
create(Robot, { labels: [1] });
// @ts-expect-error
create(Robot, { counter: 1n });
// @ts-expect-error
create(Robot, 5);

// ---- Plain ----
const plain = toObject(create(Robot));
same<typeof plain, Plain<Robot>>(true);
same<(typeof plain)["at"], Plain<Point>>(true);
same<(typeof plain)["at"]["x"], number>(true);
same<(typeof plain)["path"][number]["y"], number>(true);
same<(typeof plain)["joints"], number[]>(true);
same<(typeof plain)["times"], bigint[]>(true);
same<(typeof plain)["grid"], number[][]>(true);
same<(typeof plain)["labels"], string[]>(true);
same<(typeof plain)["counter"], number>(true);
// @ts-expect-error getters stay behind
plain.at.length;

// ---- Path and PathValue ----
export const paths: Path<Robot>[] = [
  "mode",
  "at",
  "at.x",
  "path",
  "path.3",
  "path.3.x",
  "joints.0",
  "grid.1",
  "grid.1.0",
  "labels.0",
  "header.time_stamp",
  "counter",
];
// @ts-expect-error no such field
paths.push("nope");
// @ts-expect-error
paths.push("at.z");
// @ts-expect-error a getter is no field
paths.push("at.length");
// @ts-expect-error
paths.push("mode.x");
// @ts-expect-error
paths.push("path.x");
// @ts-expect-error
paths.push("path.3.z");
// @ts-expect-error
paths.push("joints.x");
// @ts-expect-error
paths.push("joints.0.x");
// @ts-expect-error
paths.push("at.");
// @ts-expect-error
paths.push("counter.load");

same<PathValue<Robot, "mode">, number>(true);
same<PathValue<Robot, "at">, Point>(true);
same<PathValue<Robot, "at.x">, number>(true);
same<PathValue<Robot, "path.3">, Point>(true);
same<PathValue<Robot, "path.3.y">, number>(true);
same<PathValue<Robot, "joints.0">, number>(true);
same<PathValue<Robot, "times.0">, bigint>(true);
same<PathValue<Robot, "grid.1">, Float32Array>(true);
same<PathValue<Robot, "grid.1.0">, number>(true);
same<PathValue<Robot, "labels.1">, string>(true);
same<PathValue<Robot, "nope">, never>(true);
same<PathValue<Robot, "at.z">, never>(true);

offsetof(Robot, "path.3.x");
// @ts-expect-error
offsetof(Robot, "path.x.3");

// ---- Paths given to functions: only the given one is followed ----
declare const roles: { reader: Reader<Robot>; editor: Editor<Robot>; unknown: Reader<AnyStruct> };
declare const index: number;
declare const anyPath: Path<Robot>;
declare const one: "at.x" | "path.3.y";
same<CheckedPath<Robot, "path.3.x">, "path.3.x">(true);
// What an editor offers next, and what a message lists.
same<CheckedPath<Robot, "at.">, "at.x" | "at.y">(true);
same<CheckedPath<Robot, "path.3.z">, "path.3.x" | "path.3.y">(true);
same<CheckedPath<Robot, "path.x">, `path.${number}`>(true);
same<CheckedPath<Robot, "mode.x">, never>(true);
same<CheckedPath<Point, "z">, "x" | "y">(true);
same<CheckedPath<Robot, Path<Robot>>, Path<Robot>>(true);
export const got: [number, Plain<Point>, Int32Array, bigint, string, number, number] = [
  roles.reader.get("at.x"),
  roles.reader.get("path.3"),
  roles.reader.get("joints"),
  roles.reader.get("times.0", { timeoutMs: 1 }),
  roles.editor.get("labels.1"),
  roles.editor.get(`path.${index}.x`),
  roles.editor.get(one),
];
export const shared: [Point, Float32Array] = [
  roles.editor.lock().get("path.3"),
  roles.editor.lock().get(`grid.${index}`),
];
roles.reader.get(anyPath);
offsetof(Robot, anyPath);
offsetof(Robot, `path.${index}.x`);
roles.editor.set("at", { x: 1 });
roles.editor.set(`path.${index}`, { x: 1 });
roles.editor.set(one, 1);
roles.editor.set("counter", 1);
roles.editor.edit((_, session) => session.set("joints.3", 1));
same<ReturnType<typeof roles.unknown.snapshot>["x"], unknown>(true);
export const seenInTool: unknown[] = [roles.unknown.get("path.2.y"), roles.unknown.get("whatever")];
// @ts-expect-error no such field
roles.reader.get("nope");
// @ts-expect-error
roles.reader.get("at.z");
// @ts-expect-error a getter is no field
roles.reader.get("at.length");
// @ts-expect-error
roles.reader.get("joints.0.x");
// @ts-expect-error
roles.reader.get("at.");
// @ts-expect-error
roles.reader.get("");
// @ts-expect-error some text, not known to be a path
roles.reader.get(String(index));
// @ts-expect-error
roles.editor.get(`at.${index}`);
// @ts-expect-error
roles.editor.set("path.3.z", 1);
// @ts-expect-error a number is wanted
roles.editor.set("at.x", "1");
// @ts-expect-error
roles.editor.set("at", { z: 1 });
// @ts-expect-error
roles.editor.lock().get("counter.load");
// @ts-expect-error
roles.editor.lock().set("mode", 1n);

// ---- DeepReadonly ----
declare const reader: DeepReadonly<Robot>;
same<typeof reader.mode, number>(true);
export const read: [number, number, string | undefined, number | undefined, number] = [
  reader.at.x,
  reader.path.at(0).length,
  reader.labels[0],
  reader.grid.at(0).at(0),
  reader.counter.load(),
];
for (const point of reader.path) point.y.toFixed();
// @ts-expect-error read-only
reader.mode = 1;
// @ts-expect-error
reader.at = create(Point);
// @ts-expect-error
reader.at.x = 1;
// @ts-expect-error
reader.path.at(0).x = 1;
// @ts-expect-error
reader.path[0] = create(Point);
// @ts-expect-error
reader.path.set([]);
// @ts-expect-error
reader.joints[0] = 1;
// @ts-expect-error
reader.joints.fill(0);
// @ts-expect-error
reader.grid.at(0)[0] = 1;
// @ts-expect-error
reader.header.time_stamp = 1;
// @ts-expect-error
reader.counter.add(1);
// @ts-expect-error
reader.counter.store(1);

// What is read-only is copied like anything else.
same<Plain<DeepReadonly<Robot>>, Plain<Robot>>(true);
same<PlainValue<DeepReadonly<Robot>>, Plain<Robot>>(true);
same<FieldNames<DeepReadonly<Robot>>, FieldNames<Robot>>(true);
same<Init<DeepReadonly<Robot>>, Init<Robot>>(true);
export const copies: [Plain<Robot>, Plain<Point>, number, Plain<Point>] = [
  toObject(reader),
  toObject(reader.at),
  toObject(roles.reader.live).counter,
  toObject(roles.reader.lock().data.path.at(0)),
];
// @ts-expect-error getters stay behind
toObject(reader.at).length;
assign(create(Robot), reader);
assign(roles.editor.live, roles.reader.live);
create(Robot, roles.reader.live);
create(Robot, { at: reader.at, path: reader.path, joints: reader.joints, counter: reader.counter });
roles.editor.set("path", reader.path);
// @ts-expect-error another struct
create(Robot, { path: [reader] });

// Whoever may write may read: a function that takes the read-only struct takes the struct, too.
declare const writable: Robot;
export const seen: DeepReadonly<Robot> = writable;
export const seenArray: DeepReadonly<Robot>["joints"] = writable.joints;
declare const editor: Editor<Robot>;
// @ts-expect-error an Editor's lock excludes others, and its sessions commit
export const anyReader: Reader<Robot> = editor;
export const byEither: (data: Robot) => void = (data: DeepReadonly<Robot>) => void data.joints.at(0);
// @ts-expect-error beyond the end there is none
reader.joints.at(0).toFixed();
same<PathValue<DeepReadonly<Robot>, "joints.0">, number>(true);
same<PathValue<DeepReadonly<Robot>, "times.0">, bigint>(true);

// ---- Views ----
const robot = viewOf(Robot, new ArrayBuffer(4096));
same<typeof robot, Robot>(true);
robot.path.at(0).scale(2);
// @ts-expect-error
robot.mode = "1";
// @ts-expect-error
robot.path.length = 5;
// @ts-expect-error
viewOf(Robot, [1, 2, 3]);
// @ts-expect-error no struct class
create(Date);

// ---- What the functions take and give has names ----
export const floats: ArrayType<Float32Array | CArray<number>> = array(c_float, 3);
export const counters = <T extends number | bigint>(types: ScalarType<T, IntegerArray>[]): AtomicType<T>[] =>
  types.map((type) => atomic(type));
export const sum = (numbers: Exclude<TypedArray, BigInt64Array | BigUint64Array>): number =>
  [...numbers].reduce((a, b) => a + b, 0);
export const watch = (counter: ReadonlyAtomic<number>): number => counter.load();
watch(reader.counter);
export const path: InitValue<Robot["path"]> = [{ x: 1 }, {}];
same<PlainValue<Robot["path"]>, Plain<Point>[]>(true);
