/** A C header, or a binary with BTF, as TypeScript classes. */
import { readFileSync } from "node:fs";
import { resolve } from "node:path";
import { checkOptions } from "../../errors/check-options.ts";
import { type StructSchema, structFromSchema } from "../../struct/index.ts";
import { CodegenError } from "../error.ts";
import { type Declaration, Planner } from "../plan.ts";
import { writeTypeScript } from "../typescript.ts";
import { btfTypes } from "./btf.ts";
import { type Facts, SchemaBuilder } from "./build.ts";
import { Comments } from "./comments.ts";
import { Compiler, type Question } from "./compiler.ts";
import { type DebugEnum, type DebugStruct, type DebugType, resolved } from "./debug-types.ts";
import { sectionsOf } from "./elf.ts";
import { floatOf, type Macro, macrosOf } from "./macros.ts";

/** What `importHeader` and `importBinary` take. @example { structs: ["robot"], includes: ["include"] } */
export interface ImportOptions {
  /** Tags or typedefs to import. Left out: all structs and unions that the header itself declares. */
  readonly structs?: readonly string[] | undefined;
  /** Directories for `-I`. */
  readonly includes?: readonly string[] | undefined;
  /** Macros for `-D`, as `NAME` or `NAME=value`. */
  readonly defines?: readonly string[] | undefined;
  /** The C compiler to ask: gcc or clang, by name or path. Left out: the first of `gcc`, `clang` that is there. */
  readonly compiler?: string | undefined;
}

/** What an import found. @example const { text, refused } = importHeader("robot.h"); */
export interface Imported {
  /** A TypeScript module with a class for each struct, checked against the compiler's sizes and offsets when loaded. */
  readonly text: string;
  /** The structs asked for, in order, without those refused. */
  readonly structs: readonly StructSchema[];
  /** Structs that have no class, each with the reason. */
  readonly refused: readonly { readonly name: string; readonly reason: string }[];
  /** Macros of the header that are numbers. */
  readonly constants: ReadonlyMap<string, bigint | number>;
}

/**
 * Makes classes from a C header, by the compiler's own word: it compiles the header with debug information and reads
 * that. Enums become const objects, macros of numbers constants; comments of structs and members are kept. `__int128`,
 * `_Complex` and the like become bytes, pointers `c_void_p`, each with a comment.
 * @param header path of the header
 * @throws CodegenError without a compiler, for a header that does not compile or defines no struct, union or enum, for
 * a name in `structs` that is not a complete struct, and with clang for a header that uses scalar_storage_order
 * @throws TypeError for an option there is not
 * @example await Bun.write("robot.ts", importHeader("robot.h", { structs: ["robot"] }).text);
 */
export function importHeader(header: string, options: ImportOptions = {}): Imported {
  checkOptions("importHeader", options, KNOWN_OPTIONS);
  const { includes = [], defines = [] } = options;
  const compiler = new Compiler(header, { compiler: options.compiler ?? someCompiler(), includes, defines });
  const preprocessed = compiler.preprocessed();
  if (compiler.isClang && USES_STORAGE_ORDER.test(preprocessed))
    throw new CodegenError(
      header,
      "it uses scalar_storage_order, which clang ignores: numbers would come in the wrong byte order; import it with gcc",
    );
  const macros = macrosOf(preprocessed, resolve(header));
  const first = new Unit(compiler.ask([]).types);
  const questions = [...first.alignQuestions(), ...macros.map(macroQuestion)];
  const { types, values } = compiler.ask(questions);
  const unit = new Unit(types);
  const { named, unnamed } = unit.enumsIn(resolve(header));
  const chosen = unit.chosen(options.structs, resolve(header), header);
  const constants = new Map([...constantsOf(macros, values), ...unnamed]);
  const hasOther = named.length > 0 || [...constants.keys()].some(isPublic);
  if (options.structs === undefined && chosen.length === 0 && !hasOther)
    throw new CodegenError(
      header,
      "it defines no struct, union or enum itself; structs of the headers it includes come by name, with the option structs",
    );
  return importUnit(unit, {
    from: header,
    enums: named,
    chosen,
    aligns: unit.aligns(values),
    constants,
    reverses: preprocessed.includes("scalar_storage_order"),
  });
}

/**
 * Makes classes from the section `.BTF` of a binary: a program compiled with `gcc -gbtf`, or a kernel. BTF knows no
 * alignments of structs (the members' are taken), atomics, byte order, macros or comments. Where it has a number twice,
 * as in two byte orders, a member of that type is refused.
 * @param path the binary
 * @param options only `structs` counts, and must be given
 * @throws CodegenError for a file without BTF, and for a name that is not a complete struct in it
 * @throws TypeError for an option there is not
 * @example importBinary("/sys/kernel/btf/vmlinux", { structs: ["task_struct"] })
 */
export function importBinary(path: string, options: ImportOptions): Imported {
  checkOptions("importBinary", options, KNOWN_OPTIONS);
  const file = readFileSync(path);
  const isBare = file.length > 1 && file.readUInt16LE(0) === 0xeb9f;
  const unit = new Unit(btfTypes(isBare ? file : sectionsOf(file, path).get(".BTF"), path));
  const chosen = unit.chosen(options.structs, undefined, path);
  return importUnit(unit, {
    from: path,
    chosen,
    enums: [],
    aligns: new Map(),
    constants: new Map(),
    reverses: false,
  });
}

/** In a declaration or a pragma; a macro that is only defined changes no struct. */
const USES_STORAGE_ORDER = /^(?!#define).*scalar_storage_order/m;

const KNOWN_OPTIONS = { structs: "any", includes: "any", defines: "any", compiler: "string" } as const;

const someCompiler = (): string =>
  Bun.which("gcc") !== null ? "gcc" : Bun.which("clang") !== null ? "clang" : "gcc";

interface NamedEnum {
  readonly name: string;
  readonly values: readonly (readonly [string, bigint])[];
  readonly size: number;
}

interface Findings {
  readonly from: string;
  readonly chosen: readonly (readonly [name: string, struct: DebugStruct])[];
  /** Those that the header declares, whether a struct has them or not. */
  readonly enums: readonly NamedEnum[];
  readonly aligns: ReadonlyMap<DebugStruct, number>;
  readonly constants: ReadonlyMap<string, bigint | number>;
  /** See `Facts`. */
  readonly reverses: boolean;
}

function importUnit(unit: Unit, { from, chosen, enums, aligns, constants, reverses }: Findings): Imported {
  const integers = new Map(
    [...constants].flatMap(([name, value]) => (typeof value === "bigint" ? [[name, value] as const] : [])),
  );
  const facts: Facts = {
    names: unit.names,
    aligns,
    constants: integers,
    enums: unit.enums,
    typedefs: unit.typedefs,
    comments: new Comments(),
    reverses,
  };
  const builder = new SchemaBuilder(
    facts,
    chosen.map(([, struct]) => struct),
  );
  const structs: StructSchema[] = [];
  const refused: { name: string; reason: string }[] = [];
  for (const [name, struct] of chosen) {
    try {
      const schema = builder.struct(struct, name);
      checkClass(schema, builder);
      structs.push(schema);
    } catch (error) {
      refused.push({ name, reason: reasonOf(error) });
    }
  }
  const { declarations } = planned(structs, builder);
  const parts = {
    from,
    enums,
    comments: builder.comments,
    constants: [...constants].filter(([name]) => isPublic(name)),
  };
  return { text: writeTypeScript(declarations, parts), structs, refused, constants };
}

/** Whether the library and a class can lay it out. @throws CodegenError, StructDefinitionError */
function checkClass(schema: StructSchema, builder: SchemaBuilder): void {
  structFromSchema(schema);
  writeTypeScript(planned([schema], builder).declarations, { from: "" });
}

function planned(
  schemas: readonly StructSchema[],
  { enumNames }: SchemaBuilder,
): { declarations: Declaration[] } {
  const planner = new Planner(enumNames);
  for (const schema of schemas) planner.struct(schema, false, schema.name);
  return planner;
}

function reasonOf(error: unknown): string {
  if (error instanceof CodegenError) return error.message;
  if (error instanceof Error && error.name === "StructDefinitionError") return error.message;
  throw error;
}

const isPublic = (name: string): boolean => !name.startsWith("_");

const macroQuestion = ({ name }: Macro): Question => ({ name: `shms_macro_${name}`, expression: name });

function constantsOf(
  macros: readonly Macro[],
  values: ReadonlyMap<string, bigint>,
): Map<string, bigint | number> {
  return new Map(
    macros.flatMap((macro): [string, bigint | number][] => {
      const value = values.get(`shms_macro_${macro.name}`) ?? floatOf(macro);
      return value === undefined ? [] : [[macro.name, value]];
    }),
  );
}

/** The named types of one compilation. */
class Unit {
  readonly names = new Map<DebugStruct, string>();
  readonly enums = new Map<string, DebugEnum>();
  readonly typedefs = new Map<string, DebugType>();
  readonly #allEnums: DebugEnum[] = [];
  readonly #byName = new Map<string, DebugStruct>();
  /** How C names a struct that has a name. */
  readonly #expressions = new Map<DebugStruct, string>();

  constructor(types: readonly DebugType[]) {
    for (const type of types) this.#tag(type);
    for (const type of types) this.#typedef(type);
  }

  #tag(type: DebugType): void {
    if (type.kind === "enum") {
      this.enums.set(type.name, type);
      this.#allEnums.push(type);
    }
    if ((type.kind !== "struct" && type.kind !== "union") || type.name === "") return;
    this.names.set(type, type.name);
    this.#byName.set(type.name, type);
    this.#expressions.set(type, `${type.kind} ${type.name}`);
  }

  #typedef(type: DebugType): void {
    if (type.kind !== "typedef") return;
    this.typedefs.set(type.name, type);
    const { type: struct } = resolved(type);
    if (struct.kind !== "struct" && struct.kind !== "union") return;
    if (!this.#byName.has(type.name)) this.#byName.set(type.name, struct);
    if (this.names.has(struct)) return;
    this.names.set(struct, type.name);
    this.#expressions.set(struct, type.name);
  }

  /** The enums of a header; the values of one without a name are constants. */
  enumsIn(header: string): { named: NamedEnum[]; unnamed: (readonly [string, bigint])[] } {
    const names = new Map(
      [...this.typedefs].flatMap(([name, alias]) => {
        const { type } = resolved(alias);
        return type.kind === "enum" ? [[type, name] as const] : [];
      }),
    );
    const own = this.#allEnums.filter(({ file, name }) => file === header && !name.endsWith("_enum_labels"));
    const called = own.map((one) => ({
      name: one.name || (names.get(one) ?? ""),
      values: one.values,
      size: one.size,
    }));
    return {
      named: called.filter(({ name }) => name !== ""),
      unnamed: called.flatMap(({ name, values }) => (name === "" ? values : [])),
    };
  }

  /** The structs to import. @throws CodegenError for a name that is not there */
  chosen(
    names: readonly string[] | undefined,
    header: string | undefined,
    path: string,
  ): [string, DebugStruct][] {
    if (names === undefined) {
      if (header === undefined)
        throw new CodegenError(path, "name the structs to import with the option structs");
      return [...this.names].flatMap(([struct, name]) => (struct.file === header ? [[name, struct]] : []));
    }
    return names.map((name) => {
      const struct = this.#byName.get(name.replace(/^(struct|union) /, ""));
      if (struct === undefined)
        throw new CodegenError(path, `it declares no complete struct or union ${name}`);
      return [name, struct];
    });
  }

  alignQuestions(): Question[] {
    return [...this.#expressions.values()].map((type, i) => ({
      name: `shms_align_${i}`,
      expression: `_Alignof(${type})`,
    }));
  }

  /** Alignments from the answers: the same unit compiled again declares the same types in the same order. */
  aligns(values: ReadonlyMap<string, bigint>): Map<DebugStruct, number> {
    const aligns = [...this.#expressions.keys()].map(
      (struct, i) => [struct, values.get(`shms_align_${i}`)] as const,
    );
    return new Map(
      aligns.flatMap(([struct, align]) => (align === undefined ? [] : [[struct, Number(align)] as const])),
    );
  }
}
