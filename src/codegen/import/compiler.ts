/** Asks the compiler: what it knows about a header, in the debug information of an object file. */
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { CodegenError } from "../error.ts";
import type { DebugType } from "./debug-types.ts";
import { dwarfTypes } from "./dwarf.ts";
import { sectionsOf } from "./elf.ts";

/** How to compile. */
export interface CompileOptions {
  readonly compiler: string;
  readonly includes: readonly string[];
  readonly defines: readonly string[];
}

/** The types of a unit, and what the questions came to. */
export interface Answer {
  readonly types: readonly DebugType[];
  readonly values: ReadonlyMap<string, bigint>;
}

/** One integer constant to ask for, under a name. */
export interface Question {
  readonly name: string;
  readonly expression: string;
}

const ANSWERS = "shms_answers";
const FLAGS = ["-gdwarf-5", "-gz=none", "-fno-eliminate-unused-debug-types", "-w", "-ferror-limit=0"];

/** A header under one compiler. */
export class Compiler {
  readonly #header: string;
  readonly #options: CompileOptions;
  /** Whether it is clang, by its own word, however it is called. */
  readonly isClang: boolean;

  /**
   * @param header path of the header
   * @throws CodegenError where the compiler cannot be run
   */
  constructor(header: string, options: CompileOptions) {
    this.#header = resolve(header);
    this.#options = options;
    if (!existsSync(this.#header)) throw new CodegenError(header, "there is no such file");
    this.isClang = run([options.compiler, "--version"], header).out.includes("clang");
  }

  /**
   * Compiles the header and what is asked about it. A question that does not compile has no answer.
   * @throws CodegenError when the header itself does not compile, with the first error of the compiler
   */
  ask(questions: readonly Question[]): Answer {
    const dir = mkdtempSync(join(tmpdir(), "shmstruct-import-"));
    try {
      return this.#ask(dir, [...questions]);
    } finally {
      rmSync(dir, { recursive: true, force: true });
    }
  }

  #ask(dir: string, questions: Question[]): Answer {
    const object = join(dir, "unit.o");
    let left = questions;
    // Each round leaves out what the compiler did not take; an error in one line can hide that of another.
    for (;;) {
      const unit = join(dir, "unit.c");
      const head = `#include "${this.#header}"`;
      const lines = left.map(({ name, expression }) => `enum ${ANSWERS} { ${name} = (${expression}) };`);
      writeFileSync(
        unit,
        [head, ...lines.map((line, i) => line.replace(ANSWERS, `${ANSWERS}_${i}`)), ""].join("\n"),
      );
      const { status, err } = this.#compile(["-c", unit, "-o", object]);
      if (status === 0) break;
      const wrong = errorLines(err, unit);
      const kept = left.filter((_, line) => !wrong.has(line + 2));
      if (kept.length === left.length)
        throw new CodegenError(this.#header, `it does not compile: ${firstError(err)}`);
      left = kept;
    }
    const types = dwarfTypes(sectionsOf(readFileSync(object), this.#header), this.#header);
    return { types, values: answersIn(types) };
  }

  /** What the preprocessor makes of the header, with the definitions of macros: `-dD -E`. */
  preprocessed(): string {
    const { status, out, err } = this.#compile(["-E", "-dD", this.#header]);
    if (status !== 0) throw new CodegenError(this.#header, `it does not compile: ${firstError(err)}`);
    return out;
  }

  #compile(more: readonly string[]): Finished {
    const { compiler, includes, defines } = this.#options;
    const flags = this.isClang
      ? [...FLAGS, "-fstandalone-debug"]
      : FLAGS.map((f) => (f === "-ferror-limit=0" ? "-fmax-errors=0" : f));
    const paths = [...includes.map((path) => `-I${path}`), ...defines.map((define) => `-D${define}`)];
    return run([compiler, "-x", "c", "-std=gnu11", ...flags, ...paths, ...more], this.#header);
  }
}

interface Finished {
  readonly status: number;
  readonly out: string;
  readonly err: string;
}

function run(command: string[], header: string): Finished {
  try {
    const { exitCode, stdout, stderr } = Bun.spawnSync(command, {
      stdout: "pipe",
      stderr: "pipe",
      env: { ...process.env, LC_ALL: "C" },
    });
    return { status: exitCode, out: stdout.toString(), err: stderr.toString() };
  } catch (error) {
    throw new CodegenError(
      header,
      `importing a header needs a C compiler, and ${command[0]} cannot be run; install gcc or clang, or name one with the option compiler`,
      { cause: error },
    );
  }
}

/** The lines of a file that the compiler does not take; an error inside a macro is reported where the macro is. */
function errorLines(err: string, unit: string): Set<number> {
  const lines = err
    .split("\n")
    .filter((line) => line.startsWith(`${unit}:`) && /: error:|: note: in expansion of macro/.test(line));
  return new Set(
    lines.map((line) => Number(line.slice(unit.length + 1).split(":")[0])).filter((line) => line > 1),
  );
}

const firstError = (err: string): string =>
  err.split("\n").find((line) => /error:/.test(line)) ?? err.split("\n")[0] ?? "no message";

function answersIn(types: readonly DebugType[]): Map<string, bigint> {
  const answers = types.flatMap((type) =>
    type.kind === "enum" && type.name.startsWith(ANSWERS) ? type.values : [],
  );
  return new Map(answers);
}
