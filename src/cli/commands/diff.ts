import { layoutOf } from "../../struct/functions.ts";
import { layoutOfClass } from "../../struct/layout/layout.ts";
import { leavesOf, type StructSchema } from "../../struct/schema/schema.ts";
import { structFromSchema } from "../../struct/schema/schema-reader.ts";
import { type Command, define, EXIT, TRUST } from "../command.ts";
import { type OpenValues, openInspector } from "../open.ts";
import { escapeText, type Output } from "../output.ts";
import { loadClass, SOURCE_HELP } from "../source.ts";
import { valueText } from "../tree.ts";

interface Side {
  readonly name: string;
  readonly schema: StructSchema | undefined;
  /** Undefined for a class, which has no value. */
  readonly value?: unknown;
  readonly hasValue: boolean;
}

/** How two sides differ at one place; undefined: it is not there. */
interface Difference {
  readonly path: string;
  readonly what: "layout" | "value";
  readonly a: string | undefined;
  readonly b: string | undefined;
}

export const command: Command = define({
  args: "A B",
  count: [2, 2],
  details: `Two files, a file and a backup, or two layouts; exit code 1 when they differ.\n${SOURCE_HELP}`,
  options: {
    layout: { type: "boolean", help: "only the layouts" },
    ...TRUST,
  },
  examples: ["shmstruct diff Robot /backups/robot", "shmstruct diff --layout Robot ./structs.ts#Robot"],
  async run([a = "", b = ""], { layout, ...trust }, out) {
    const sides = [await sideOf(a, trust), await sideOf(b, trust)] as const;
    const differences = [
      ...layouts(sides),
      ...(layout || !sides.every((side) => side.hasValue) ? [] : values(sides)),
    ];
    for (const difference of differences) print(out, difference);
    return differences.length > 0 ? EXIT.differs : EXIT.done;
  },
});

async function sideOf(source: string, trust: OpenValues): Promise<Side> {
  if (source.includes("#"))
    return { name: source, schema: layoutOf(await loadClass(source)), hasValue: false };
  using inspector = openInspector(source, trust);
  return { name: inspector.path, schema: inspector.schema, value: inspector.look().value, hasValue: true };
}

function layouts([a, b]: readonly [Side, Side]): Difference[] {
  const [left, right] = [placesOf(a.schema), placesOf(b.schema)];
  return compare("layout", left, right);
}

const placesOf = (schema: StructSchema | undefined): Map<string, string> =>
  new Map(
    schema === undefined
      ? []
      : leavesOf(layoutOfClass(structFromSchema(schema))).map(({ path, type, offset, size }) => [
          path,
          `${type} at ${offset}, ${size} bytes`,
        ]),
  );

function values([a, b]: readonly [Side, Side]): Difference[] {
  return compare("value", leaves(a.value), leaves(b.value));
}

/** Every single value by its path. */
function leaves(value: unknown, path = "", found = new Map<string, string>()): Map<string, string> {
  if (typeof value !== "object" || value === null || ArrayBuffer.isView(value))
    found.set(path, valueText(value));
  else
    for (const [key, item] of Object.entries(value))
      leaves(item, path === "" ? key : `${path}.${key}`, found);
  return found;
}

function compare(
  what: Difference["what"],
  left: ReadonlyMap<string, string>,
  right: ReadonlyMap<string, string>,
): Difference[] {
  const paths = [...left.keys(), ...[...right.keys()].filter((path) => !left.has(path))];
  return paths
    .map((path) => ({ path, what, a: left.get(path), b: right.get(path) }))
    .filter(({ a, b }) => a !== b);
}

function print(out: Output, difference: Difference): void {
  if (out.isJson) {
    out.json(difference);
    return;
  }
  const { path, a, b } = difference;
  const name = escapeText(path || "(value)");
  if (a !== undefined) out.line(out.paint("red", `- ${name}: ${escapeText(a)}`));
  if (b !== undefined) out.line(out.paint("green", `+ ${name}: ${escapeText(b)}`));
}
