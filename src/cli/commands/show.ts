import { type Command, define, TRUST } from "../command.ts";
import { printHex } from "../hex.ts";
import { printLayout } from "../layout-table.ts";
import { openInspector } from "../open.ts";
import { escapeText } from "../output.ts";
import { follow } from "../paths.ts";
import { printTree } from "../tree.ts";

export const command: Command = define({
  args: "FILE [PATH]",
  count: [1, 2],
  details: "A committed state, without a lock. PATH is dotted: path.3.x",
  options: {
    layout: { type: "boolean", help: "with offsets, holes and cache lines" },
    hex: { type: "boolean", help: "the bytes, under a ruler of fields" },
    all: { type: "boolean", short: "a", help: "all elements of arrays" },
    ...TRUST,
  },
  examples: [
    "shmstruct show Robot",
    "shmstruct show ./.mmap/Robot_.mmap pose",
    "shmstruct show --hex /robot",
  ],
  run([file = "", path = ""], { layout, hex, all, ...trust }, out) {
    using inspector = openInspector(file, trust);
    const { version, value, bytes } = inspector.look();
    const { schema } = inspector;
    const found = follow(value, schema, path);
    if (out.isJson) {
      out.json(path === "" ? { path: inspector.path, kind: inspector.kind, version, value } : found.value);
      return undefined;
    }
    const name = schema === undefined ? "" : ` ${escapeText(schema.name)}`;
    out.line(out.paint("dim", `${inspector.kind}${name}, version ${version}, ${escapeText(inspector.path)}`));
    if (layout && schema !== undefined) printLayout(out, schema, value);
    else if (hex && schema !== undefined && bytes !== undefined) printHex(out, schema, bytes);
    else if (path !== "") printTree(out, treeOf(path, found), { all: all === true });
    // Of channels and queues the schema is that of their messages.
    else
      printTree(
        out,
        { schema: inspector.kind === "record" ? schema : undefined, value },
        { all: all === true },
      );
    return undefined;
  },
});

/** A value at a path, as the one member of a struct that has only it. */
function treeOf(path: string, { value, type }: ReturnType<typeof follow>): Parameters<typeof printTree>[1] {
  if (type === undefined) return { schema: undefined, value };
  const fields = { [path]: { type, offset: 0, size: 0 } };
  return { schema: { name: "", kind: "struct", size: 0, align: 1, fields }, value: { [path]: value } };
}
