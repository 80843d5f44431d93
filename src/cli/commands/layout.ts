import { readFileSync, statSync } from "node:fs";
import { layoutOf } from "../../struct/functions.ts";
import type { StructSchema } from "../../struct/schema/schema.ts";
import { parseSchemaJson } from "../../struct/schema/schema-json.ts";
import { structFromSchema } from "../../struct/schema/schema-reader.ts";
import { type Command, define, NotFoundError, TRUST } from "../command.ts";
import { printLayout } from "../layout-table.ts";
import { type OpenValues, openInspector } from "../open.ts";
import { escapeText } from "../output.ts";
import { loadClass, SOURCE_HELP } from "../source.ts";

export const command: Command = define({
  args: "SOURCE",
  count: [1, 1],
  details: SOURCE_HELP,
  options: { ...TRUST },
  examples: [
    "shmstruct layout Robot",
    "shmstruct layout ./structs.ts#Robot",
    "shmstruct layout --json /robot",
  ],
  async run([source = ""], trust, out) {
    const schema = await schemaOfSource(source, trust);
    if (out.isJson) out.json(schema);
    else printLayout(out, schema);
    return undefined;
  },
});

/** The layout that a source has: a class of a module, a file of JSON, or a data file. */
export async function schemaOfSource(source: string, trust: OpenValues): Promise<StructSchema> {
  if (source.includes("#")) return layoutOf(await loadClass(source));
  const schema = schemaInFile(source);
  if (schema !== undefined) return schema;
  using inspector = openInspector(source, trust);
  if (inspector.schema !== undefined) return inspector.schema;
  throw new NotFoundError(`'${escapeText(inspector.path)}' holds a ${inspector.kind} without a struct`);
}

/** The schema that a file of JSON holds, as `layout --json` prints it; undefined for any other file. */
function schemaInFile(path: string): StructSchema | undefined {
  // A pipe of that name would never end.
  if (!path.endsWith(".json") || statSync(path, { throwIfNoEntry: false })?.isFile() !== true)
    return undefined;
  const bytes = readFileSync(path);
  // Data files begin with data, also those of documents.
  if (!bytes.toString("latin1", 0, 64).trimStart().startsWith("{")) return undefined;
  try {
    const schema = parseSchemaJson(bytes) as StructSchema;
    structFromSchema(schema);
    return schema;
  } catch (error) {
    throw new NotFoundError(
      `'${escapeText(path)}' has no schema of a struct: ${escapeText(error instanceof Error ? error.message : String(error))}`,
    );
  }
}
