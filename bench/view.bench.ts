/** Rows 1 to 3: access to fields through views, against DataView code written by hand and against other libraries. */
import {
  array,
  c_double,
  c_int32,
  c_uint8,
  create,
  field,
  nested,
  Struct,
  type StructArray,
  type StructClass,
} from "../src/index.ts";
import { viewAt } from "../src/struct/functions.ts";
import { BARRIER_SOURCE, barrierWord } from "../src/struct/memory/barrier.ts";
import { FRESH, Region } from "../src/struct/memory/memory.ts";
import { alone, type Case, type Row, type Suite, timed } from "./harness.ts";
import { ACCESSES, asMethods, expectedSum, type Loop, loop, TURNS } from "./many.ts";
import { libraries } from "./peers/libraries.ts";

/** Struct number `i`: like the others in the fields that are used, unlike them in where these lie. */
function makeClass(i: number): StructClass {
  class Robot extends Struct {}
  for (let k = 0; k < i; k++) field(c_uint8)(Robot.prototype as never, `pad${k}` as never);
  const declare = (name: string, type: typeof c_int32 | typeof c_double) =>
    field<number>(type)(Robot.prototype as never, name as never);
  declare("a", c_int32);
  declare("b", c_double);
  declare("c", c_int32);
  return Robot as unknown as StructClass;
}

/** Runs one loop for each of the objects; time is given for one access. */
function loops(objects: readonly unknown[], makeLoop: (i: number) => Loop) {
  const pairs = objects.map((object, i) => [object, makeLoop(i)] as const);
  const run = () => {
    let sum = 0;
    for (const [object, body] of pairs) sum += body(object, TURNS);
    return sum;
  };
  return timed(objects.length * TURNS * ACCESSES, run, objects.length * expectedSum(TURNS));
}

const numbers = (count: number) => Array.from({ length: count }, (_, i) => i);

const viaViews = (count: number): Case => {
  return () =>
    loops(
      numbers(count).map((i) => create(makeClass(i))),
      () => loop(),
    );
};

const viaFreshViews = (count: number): Case => {
  return () =>
    loops(
      numbers(count).map((i) => viewAt(makeClass(i), new Region(new ArrayBuffer(64), 0, 64, FRESH), 0)),
      () => loop(),
    );
};

/** The same offsets, written out by hand, without any check. */
const byHand = (count: number): Case => {
  const body = (i: number) => {
    const a = Math.ceil(i / 4) * 4;
    const b = Math.ceil((a + 4) / 8) * 8;
    return loop(
      `v.setInt32(${a}, v.getInt32(${b + 8}, true) + 1, true); v.setFloat64(${b}, v.getInt32(${a}, true) * 0.5, true);` +
        `sum += v.getFloat64(${b}, true); v.setInt32(${b + 8}, i, true);`,
      `v.setInt32(${b + 8}, 0, true);`,
    );
  };
  return () =>
    loops(
      numbers(count).map(() => new DataView(new ArrayBuffer(64))),
      body,
    );
};

/**
 * A class around a DataView as one would write it for this one struct, without any check: what the checks cost.
 * @param beforeRead what is done before each read
 */
const byUncheckedClass = (count: number, beforeRead = ""): Case => {
  const make = (i: number): unknown => {
    const a = Math.ceil(i / 4) * 4;
    const b = Math.ceil((a + 4) / 8) * 8;
    const accessors = [
      ["a", "Int32", a],
      ["b", "Float64", b],
      ["c", "Int32", b + 8],
    ].map(
      ([name, type, at]) =>
        `get ${name}() { ${beforeRead} return this.#d.get${type}(${at}, true); } set ${name}(v) { this.#d.set${type}(${at}, v, true); }`,
    );
    const source = `"class ${i}"; return class { #d; constructor(d) { this.#d = d; } ${accessors.join(" ")} };`;
    const Unchecked = new Function("B", source)(barrierWord) as new (view: DataView) => unknown;
    return new Unchecked(new DataView(new ArrayBuffer(64)));
  };
  return () => loops(numbers(count).map(make), () => loop());
};

const viaLibrary = (name: string, count: number): Case => {
  return async () => {
    const library = await libraries[name]!();
    const body = () => (library.methods ? loop(asMethods, 'v.set("c", 0);') : loop());
    return loops(numbers(count).map(library.make), body);
  };
};

const FRESH_FLOOR =
  "after the store that keeps a read from being moved or merged, the compiler takes nothing for granted: where the memory lies and how long it is are loaded and checked again for every access. A class by hand with such a store takes the same time (the row of the floor); so do cheaper stores, of a constant word or of the value that was read.";

class Point extends Struct {
  @field(c_double) x!: number;
  @field(c_double) y!: number;
}
class Pose extends Struct {
  @field(c_int32) id!: number;
  @nested(Point) at!: Point;
}
class Robot extends Struct {
  @field(c_int32) id!: number;
  @nested(Pose) pose!: Pose;
}
class Path extends Struct {
  @field(c_int32) count!: number;
  @nested(Point, 1000) points!: StructArray<Point>;
}
class Samples extends Struct {
  @field(c_int32) count!: number;
  @field(array(c_double, 1000)) values!: Float64Array;
}

const POINTS = 1000;
const PATH_SUM = (POINTS * (POINTS - 1)) / 2;

const nestedByView: Case = () => {
  const robot = create(Robot);
  const run = () => {
    let sum = 0;
    for (let i = 0; i < TURNS; i++) {
      robot.pose.at.x = i;
      sum += robot.pose.at.x;
    }
    return sum;
  };
  return timed(TURNS, run, (TURNS * (TURNS - 1)) / 2);
};

const nestedByHand: Case = () => {
  const robot = new DataView(new ArrayBuffer(32));
  const run = () => {
    let sum = 0;
    for (let i = 0; i < TURNS; i++) {
      robot.setFloat64(16, i, true);
      sum += robot.getFloat64(16, true);
    }
    return sum;
  };
  return timed(TURNS, run, (TURNS * (TURNS - 1)) / 2);
};

function makePath(): Path {
  const path = create(Path);
  for (let i = 0; i < POINTS; i++) path.points.at(i).x = i;
  return path;
}

const pathByAt: Case = () => {
  const path = makePath();
  const run = () => {
    let sum = 0;
    for (let i = 0; i < POINTS; i++) sum += path.points.at(i).x;
    return sum;
  };
  return timed(POINTS, run, PATH_SUM);
};

const pathByIndex: Case = () => {
  const path = makePath();
  const run = () => {
    let sum = 0;
    for (let i = 0; i < POINTS; i++) sum += path.points[i]!.x;
    return sum;
  };
  return timed(POINTS, run, PATH_SUM);
};

const pathByIteration: Case = () => {
  const path = makePath();
  const run = () => {
    let sum = 0;
    for (const point of path.points) sum += point.x;
    return sum;
  };
  return timed(POINTS, run, PATH_SUM);
};

const pathByHand: Case = () => {
  const path = new DataView(new ArrayBuffer(8 + POINTS * 16));
  for (let i = 0; i < POINTS; i++) path.setFloat64(8 + i * 16, i, true);
  const run = () => {
    let sum = 0;
    for (let i = 0; i < POINTS; i++) sum += path.getFloat64(8 + i * 16, true);
    return sum;
  };
  return timed(POINTS, run, PATH_SUM);
};

/** Bun's own iteration, for comparison. */
const typedArrayByIteration: Case = () => {
  const values = new Float64Array(numbers(POINTS));
  const run = () => {
    let sum = 0;
    for (const value of values) sum += value;
    return sum;
  };
  return timed(POINTS, run, PATH_SUM);
};

const arrayByView: Case = () => {
  const samples = create(Samples, { values: numbers(POINTS) });
  const run = () => {
    let sum = 0;
    for (let i = 0; i < POINTS; i++) sum += samples.values[i]!;
    return sum;
  };
  return timed(POINTS, run, PATH_SUM);
};

const arrayByHand: Case = () => {
  const samples = new DataView(new ArrayBuffer(8 + POINTS * 8));
  for (let i = 0; i < POINTS; i++) samples.setFloat64(8 + i * 8, i, true);
  const run = () => {
    let sum = 0;
    for (let i = 0; i < POINTS; i++) sum += samples.getFloat64(8 + i * 8, true);
    return sum;
  };
  return timed(POINTS, run, PATH_SUM);
};

const libraryNames = Object.keys(libraries);

const LIBRARY_FLOOR =
  "with one class alive structurae and shmstruct both run at the speed of DataView code written by hand, and none can be ahead; structurae stores whatever it is given, unchecked.";

const suite: Suite = {
  title: "Fields through views",
  file: import.meta.filename,
  isTimedByOwnWork: true,
  honest:
    "every load reads what was stored since its last turn, sums are compared with the right result, and every case has a process of its own. Ours checks each value it stores; by hand nothing is checked.",
  idle: "nothing: a view is an object, without a thread, a timer or a system call of its own.",
  cases: {
    "view, 1 class": viaViews(1),
    "view, 20 classes": viaViews(20),
    "fresh view, 20 classes": viaFreshViews(20),
    "DataView by hand, 1": byHand(1),
    "DataView by hand, 20": byHand(20),
    "class by hand, unchecked, 20": byUncheckedClass(20),
    "class by hand with a barrier, 20": byUncheckedClass(20, `${BARRIER_SOURCE};`),
    ...Object.fromEntries(
      libraryNames.flatMap((name) => [
        [`${name}, 1 class`, viaLibrary(name, 1)],
        [`${name}, 20 classes`, viaLibrary(name, 20)],
      ]),
    ),
    "nested a.b.c": nestedByView,
    "nested by hand": nestedByHand,
    "points.at(i).x": pathByAt,
    "points[i].x": pathByIndex,
    "for (const point of points)": pathByIteration,
    "points by hand": pathByHand,
    "for (const value of Float64Array)": typedArrayByIteration,
    "numeric array sum": arrayByView,
    "array by hand": arrayByHand,
  },
  rows: [
    {
      id: "1",
      what: "scalar get and set, 20 classes alive",
      ours: "view, 20 classes",
      peer: "DataView by hand, 20",
      aim: { atMost: 1.2 },
    },
    {
      id: "1",
      what: "scalar get and set, 1 class alive",
      ours: "view, 1 class",
      peer: "DataView by hand, 1",
      aim: { atMost: 1.2 },
    },
    {
      id: "1",
      what: "scalar get and set through a fresh view, 20 classes alive",
      ours: "fresh view, 20 classes",
      peer: "DataView by hand, 20",
      aim: { atMost: 2 },
      floor: FRESH_FLOOR,
    },
    {
      id: "1",
      what: "a class by hand with such a store before each read: the floor",
      ours: "class by hand with a barrier, 20",
      peer: "DataView by hand, 20",
    },
    {
      id: "1",
      what: "what the checks cost: a class by hand has none",
      ours: "view, 20 classes",
      peer: "class by hand, unchecked, 20",
    },
    ...libraryNames.flatMap((name) =>
      ["1 class", "20 classes"].map(
        (classes): Row => ({
          id: "2",
          what: `scalar get and set, ${classes}`,
          ours: `view, ${classes}`,
          peer: `${name}, ${classes}`,
          aim: { atLeast: 1 },
          floor: LIBRARY_FLOOR,
        }),
      ),
    ),
    {
      id: "3",
      what: "nested a.b.c, set and get",
      ours: "nested a.b.c",
      peer: "nested by hand",
      aim: { atMost: 1.3 },
    },
    {
      id: "3",
      what: "points.at(i).x over 1,000",
      ours: "points.at(i).x",
      peer: "points by hand",
      aim: { atMost: 1.3 },
    },
    {
      id: "3",
      what: "for (const point of points), against Bun's own iteration over numbers",
      ours: "for (const point of points)",
      peer: "for (const value of Float64Array)",
    },
    {
      id: "3",
      what: "numeric array sum over 1,000",
      ours: "numeric array sum",
      peer: "array by hand",
      aim: { atMost: 1.3 },
    },
  ],
  figures: [
    {
      id: "3",
      what: "points[i].x, convenience only (at(i) is the fast form)",
      case: "points[i].x",
      metric: "ns",
      unit: "ns",
    },
  ],
};
export default suite;

if (import.meta.main) await alone(suite);
