/** Classes that the compiler would refuse, to see what happens where nobody compiled them. */
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { rounds } from "./platform.ts";
import { temporaryDirectory } from "./temporary.ts";

/** The decorator style that this run is meant to be in; `tests/struct-standard.test.ts` sets the other one. */
export const expectedStyle = process.env.DECORATORS ?? "legacy";

/** How often to repeat what the decorators' style changes only by how a class is declared: fewer times in the second style. */
export const roundsOfStyle = (count: number): number =>
  expectedStyle === "legacy" ? rounds(count) : rounds(Math.ceil(count / 8));

const library = join(import.meta.dir, "../../src/struct/index.ts");
/** So that the compiler's design types are there, as they are where the main module is imported. */
const metadata = join(import.meta.dir, "../../src/sys/reflect-metadata.ts");
let modules = 0;

/**
 * Runs statements that declare classes, in this process's decorator style, with the library as `s`.
 * @returns what the statements return
 */
export async function define(statements: string): Promise<unknown> {
  using dir = temporaryDirectory();
  const path = join(dir.path, `define${modules++}.ts`);
  writeFileSync(
    path,
    `import ${JSON.stringify(metadata)};\nimport * as s from ${JSON.stringify(library)};\nexport const run = () => {\n${statements}\n};\n`,
  );
  const { run } = await import(path);
  return run();
}

/** The message with which the library refuses the declaration, at once or when the class is first laid out. */
export async function refusal(statements: string): Promise<string> {
  try {
    await define(statements);
  } catch (error) {
    if (error instanceof Error && error.name === "StructDefinitionError") return error.message;
    throw error;
  }
  return "nothing was refused";
}
