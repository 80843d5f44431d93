/** A struct class from a module of the user's. */
import { resolve } from "node:path";
import type { StructClass } from "../struct/declare/composite.ts";
import { Struct } from "../struct/declare/struct.ts";
import { NotFoundError } from "./command.ts";
import { escapeText } from "./output.ts";

export const SOURCE_HELP =
  "SOURCE is a FILE, or MODULE#Class: a module and the struct class that it exports.";

/** @example await loadClass("./structs.ts#Robot") @throws NotFoundError */
export async function loadClass(source: string): Promise<StructClass<Struct>> {
  const at = source.lastIndexOf("#");
  const [module, name] = [source.slice(0, at), source.slice(at + 1)];
  const exported = (await import(resolve(module))) as Record<string, unknown>;
  const found = exported[name];
  if (typeof found === "function" && found.prototype instanceof Struct) return found as StructClass<Struct>;
  const names = Object.keys(exported).map(escapeText).join(", ") || "nothing";
  throw new NotFoundError(
    `${escapeText(module)} exports no struct class '${escapeText(name)}', but ${names}`,
  );
}
