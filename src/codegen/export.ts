/** One layout, in the words of a language. */
import { show } from "../errors/show.ts";
import {
  layoutOf,
  type Struct,
  type StructClass,
  type StructSchema,
  structFromSchema,
} from "../struct/index.ts";
import { layoutOfClass } from "../struct/layout/layout.ts";
import { fingerprintOf } from "../struct/schema/schema.ts";
import { writeC } from "./c.ts";
import { writeImHex } from "./imhex.ts";
import { writeKaitai } from "./kaitai.ts";
import { type Plan, planOf } from "./plan.ts";
import { writePython } from "./python.ts";
import { writeRust } from "./rust.ts";
import { writeTypeScript } from "./typescript.ts";

const writers = {
  c: (plan: Plan, hash: bigint) => writeC(plan, hash, "C"),
  cpp: (plan: Plan, hash: bigint) => writeC(plan, hash, "C++"),
  python: writePython,
  rust: writeRust,
  ksy: writeKaitai,
  hexpat: writeImHex,
  ts: ({ declarations, root }: Plan) => writeTypeScript(declarations, { from: `the layout of ${root.name}` }),
} satisfies Record<string, (plan: Plan, hash: bigint) => string>;

/** What `exportStruct` writes. @example exportStruct(Robot, "cpp") */
export type ExportLanguage = keyof typeof writers;

/** Every `ExportLanguage`. @example if (!exportLanguages.includes(word)) usage(); */
export const exportLanguages: readonly ExportLanguage[] = Object.freeze(Object.keys(writers)) as never;

/**
 * Declares a struct in another language: the same bytes, checked by that language's compiler or, in Python, when the
 * module is loaded. What the language cannot express is refused, never approximated.
 *
 * - `"c"`: C11, a header for gcc and clang. `"cpp"`: C++17. `"python"`: ctypes, Python 3.9 and later.
 * - `"rust"`: `#[repr(C)]`, no crate needed. `"ts"`: classes again.
 * - `"ksy"`: Kaitai Struct. `"hexpat"`: a pattern for ImHex.
 * @param source a struct class, or its schema as `layoutOf` or a data file gives it
 * @returns the text of one file
 * @throws CodegenError for a member that the language cannot express, which `path` names
 * @throws StructDefinitionError for a class that cannot be laid out, or a schema that is not sound
 * @throws TypeError for a language there is not
 * @example await Bun.write("robot.h", exportStruct(Robot, "c"));
 */
export function exportStruct(source: StructClass | StructSchema, language: ExportLanguage): string {
  const write = Object.hasOwn(writers, language) ? writers[language] : undefined;
  if (write === undefined)
    throw new TypeError(
      `exportStruct: language must be one of ${exportLanguages.join(", ")}, got ${show(language)}`,
    );
  const cls = typeof source === "function" ? source : structFromSchema(source);
  const schema = typeof source === "function" ? layoutOf(source as StructClass<Struct>) : source;
  return write(planOf(schema), fingerprintOf(layoutOfClass(cls)));
}

/**
 * The eight bytes that every file of a struct carries: two layouts with the same fingerprint are the same.
 * @param source a struct class, or its schema
 * @throws StructDefinitionError for a class that cannot be laid out, or a schema that is not sound
 * @example fingerprint(Robot) === fingerprint(imported)
 */
export const fingerprint = (source: StructClass | StructSchema): bigint =>
  fingerprintOf(layoutOfClass(typeof source === "function" ? source : structFromSchema(source)));
