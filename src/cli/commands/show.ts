import type { BytesPart, Inspector } from "../../segment/inspector.ts";
import type { StructSchema } from "../../struct/schema/schema.ts";
import { type Command, define, TRUST, UsageError } from "../command.ts";
import { printHex } from "../hex.ts";
import { printLayout } from "../layout-table.ts";
import { openInspector } from "../open.ts";
import { escapeText, type Output } from "../output.ts";
import { follow } from "../paths.ts";
import { printTree } from "../tree.ts";

export const command: Command = define({
  args: "FILE [PATH]",
  count: [1, 2],
  details: "A committed state, without a lock. PATH is dotted: path.3.x",
  options: {
    layout: { type: "boolean", help: "with offsets, holes and cache lines" },
    hex: { type: "boolean", help: "the bytes, with the fields that begin in each line" },
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
    const { version, value, bytes, parts } = inspector.look();
    const { schema } = inspector;
    const found = follow(value, schema, path);
    if (out.isJson) {
      out.json(path === "" ? { path: inspector.path, kind: inspector.kind, version, value } : found.value);
      return undefined;
    }
    const name = schema === undefined ? "" : ` ${escapeText(schema.name)}`;
    out.line(out.paint("dim", `${inspector.kind}${name}, version ${version}, ${escapeText(inspector.path)}`));
    const isRecord = inspector.kind === "record";
    if (layout) printLayout(out, schema ?? noLayout(inspector), isRecord ? value : undefined);
    else if (hex) printParts(out, schema, bytes === undefined ? parts : [{ title: "", bytes }]);
    else if (path !== "") printTree(out, treeOf(path, found), { all: all === true });
    // Of channels and queues the schema is that of their messages.
    else printTree(out, { schema: isRecord ? schema : undefined, value }, { all: all === true });
    return undefined;
  },
});

function noLayout({ kind, path }: Inspector): never {
  const what = kind === "document" ? "a document, which is text" : `a ${kind} of raw bytes`;
  throw new UsageError(`'${escapeText(path)}' is ${what}: it has no layout; --hex shows the bytes`);
}

function printParts(out: Output, schema: StructSchema | undefined, parts: readonly BytesPart[] = []): void {
  for (const { title, bytes } of parts) {
    if (title !== "") out.line(out.paint("bold", title));
    printHex(out, schema, bytes);
  }
  if (parts.length === 0) out.line(out.paint("dim", "nothing is in it"));
}

/** A value at a path, as the one member of a struct that has only it. */
function treeOf(path: string, { value, type }: ReturnType<typeof follow>): Parameters<typeof printTree>[1] {
  if (type === undefined) return { schema: undefined, value };
  const fields = { [path]: { type, offset: 0, size: 0 } };
  return { schema: { name: "", kind: "struct", size: 0, align: 1, fields }, value: { [path]: value } };
}
