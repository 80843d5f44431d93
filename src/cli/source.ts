/** A struct class from a module of the user's. */
import { existsSync } from "node:fs";
import { resolve } from "node:path";
import type { StructClass } from "../struct/declare/composite.ts";
import { Struct } from "../struct/declare/struct.ts";
import { NotFoundError } from "./command.ts";
import { escapeText } from "./output.ts";

export const SOURCE_HELP =
  "SOURCE is a FILE, a schema (the .json that layout --json prints), or MODULE#Class: a module and the struct class that it exports.";

/** @example await loadClass("./structs.ts#Robot") @throws NotFoundError */
export async function loadClass(source: string): Promise<StructClass<Struct>> {
  const at = source.lastIndexOf("#");
  const [module, name] = [source.slice(0, at), source.slice(at + 1)];
  const exported = await load(module);
  const found = exported[name];
  if (typeof found === "function" && found.prototype instanceof Struct) return found as StructClass<Struct>;
  if (isOfOtherCopy(found))
    throw new NotFoundError(
      `${escapeText(source)} is a struct class of another copy of shmstruct than this command's: run the command of that copy, in its project: bunx shmstruct`,
    );
  const names = Object.keys(exported).map(escapeText).join(", ") || "nothing";
  throw new NotFoundError(
    `${escapeText(module)} exports no struct class '${escapeText(name)}', but ${names}`,
  );
}

/** Whether a class inherits from a class `Struct` that is not ours. */
function isOfOtherCopy(found: unknown): boolean {
  for (let cls = found; typeof cls === "function"; cls = Object.getPrototypeOf(cls) as unknown)
    if (cls.name === Struct.name) return true;
  return false;
}

async function load(module: string): Promise<Record<string, unknown>> {
  const path = resolve(module);
  try {
    return (await import(path)) as Record<string, unknown>;
  } catch (error) {
    // Bun's own errors about what is imported; what a module throws is shown as it is.
    if (!(error instanceof ResolveMessage)) throw error;
    if (!existsSync(path)) throw new NotFoundError(`there is no file '${escapeText(module)}'`);
    throw new NotFoundError(`'${escapeText(module)}' cannot be loaded: ${error.message}`);
  }
}
