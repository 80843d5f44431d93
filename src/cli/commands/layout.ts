import { layoutOf } from "../../struct/functions.ts";
import type { StructSchema } from "../../struct/schema/schema.ts";
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

/** The layout that a source has: a class of a module, or a file. */
export async function schemaOfSource(source: string, trust: OpenValues): Promise<StructSchema> {
  if (source.includes("#")) return layoutOf(await loadClass(source));
  using inspector = openInspector(source, trust);
  if (inspector.schema !== undefined) return inspector.schema;
  throw new NotFoundError(`'${escapeText(inspector.path)}' holds a ${inspector.kind} without a struct`);
}
