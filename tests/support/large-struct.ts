/** Source of a struct of 200 fields, 6 levels deep, and of code that uses every type derived from it. */

const LEVELS = 6;
const FIELDS = 200;

const scalarFields = (from: number, count: number): string[] =>
  Array.from({ length: count }, (_, i) => {
    const n = from + i;
    const kinds = [
      `@s.field(s.c_int32) f${n}!: number;`,
      `@s.field(s.c_int64) f${n}!: bigint;`,
      `@s.field(s.chars(8)) f${n}!: string;`,
      `@s.field(s.array(s.c_float, 3)) f${n}!: Float32Array;`,
      `@s.field(s.array(s.chars(4), 2)) f${n}!: s.CArray<string>;`,
    ];
    return `  ${kinds[n % kinds.length]}`;
  });

/** @param library what to import as `s` */
export function largeStruct(library: string): string {
  const perLevel = Math.floor(FIELDS / LEVELS) - 2;
  const classes = Array.from({ length: LEVELS }, (_, i) => {
    const level = LEVELS - i;
    const below = `L${level + 1}`;
    const nested =
      level === LEVELS
        ? []
        : [
            `  @s.nested(${below}) one!: ${below};`,
            `  @s.nested(${below}, 4) many!: s.StructArray<${below}>;`,
          ];
    const count = level === 1 ? FIELDS - (perLevel + 2) * (LEVELS - 1) - 2 : perLevel;
    return [`class L${level} extends s.Struct {`, ...scalarFields(0, count), ...nested, "}"].join("\n");
  });
  const deep = "one.many.2.one.many.1.one";
  return [
    `import * as s from ${JSON.stringify(library)};`,
    ...classes,
    "const large = s.create(L1, { f0: 1, one: { many: [{ f1: 2n }] } });",
    `const path: s.Path<L1> = "${deep}.f0";`,
    `const value: s.PathValue<L1, "${deep}.f1"> = 1n;`,
    "const plain: s.Plain<L1> = s.toObject(large);",
    "const init: s.Init<L1> = large;",
    "const reader = large as unknown as s.DeepReadonly<L1>;",
    `s.offsetof(L1, "many.1.one.f3.2");`,
    "s.assign(large, { one: large.one, many: [large.one] } as s.Init<L1>);",
    "export const used = [path, value, plain.one.one.f0, init.f0, reader.one.many.at(0).one.f3.at(0)];",
    "// @ts-expect-error there is no such path",
    `s.offsetof(L1, "${deep}.nope");`,
    "// @ts-expect-error a number is wanted",
    `s.create(L1, { one: { one: { one: { one: { one: { f0: "1" } } } } } });`,
    "// @ts-expect-error read-only",
    "reader.one.many.at(0).one.f0 = 1;",
  ].join("\n");
}

/** Source of a struct of `fan` nested structs on each of `depth` levels, and of code that goes by paths into it. */
export function wideStruct(roles: string, fan: number, depth: number): string {
  const classes = Array.from({ length: depth }, (_, i) => {
    const level = depth - i;
    const names = level === depth ? [] : Array.from({ length: fan }, (_, k) => `n${k}`);
    const nested = names.map((name) => `  @s.nested(L${level + 1}) ${name}!: L${level + 1};`);
    const base = level === 1 ? "MmapStructure" : "Struct";
    return [`class L${level} extends s.${base} {`, ...scalarFields(0, 33), ...nested, "}"].join("\n");
  });
  const deep = `${"n0.".repeat(depth - 1)}f`;
  return [
    `import * as s from ${JSON.stringify(roles)};`,
    ...classes,
    "declare const editor: s.Editor<L1>;",
    `export const got: number = editor.get("${deep}0");`,
    `editor.set("${deep}1", 1n);`,
    `editor.edit((_, session) => session.set("${deep}2", session.get("${deep}2")));`,
    `s.offsetof(L1, "${deep}0");`,
    "// @ts-expect-error there is no such path",
    `editor.get("${deep}nope");`,
    "// @ts-expect-error a bigint is wanted",
    `editor.set("${deep}1", 1);`,
  ].join("\n");
}
