import { type Command, define, TRUST } from "../command.ts";
import { openInspector } from "../open.ts";
import { escapeText, toJson } from "../output.ts";
import { follow } from "../paths.ts";
import { labelOf } from "../tree.ts";

export const command: Command = define({
  args: "FILE PATH",
  count: [2, 2],
  details: "Text and numbers come as they are, enums as their labels, structs and arrays as JSON.",
  options: { ...TRUST },
  examples: ["shmstruct get Robot pose.x", "shmstruct get --json Robot path | jq length"],
  run([file = "", path = ""], trust, out) {
    using inspector = openInspector(file, trust);
    const { value, type } = follow(
      inspector.look().value,
      inspector.kind === "record" ? inspector.schema : undefined,
      path,
    );
    const label = type === undefined ? undefined : labelOf(type, value);
    const isPlain = typeof value !== "object" || value === null;
    if (out.isJson || !isPlain) out.line(toJson(value));
    // On a terminal nothing may act as an order; a program gets what is there.
    else if (typeof value === "string") out.line(out.isTerminal ? escapeText(value) : value);
    else out.line(escapeText(label ?? String(value)));
    return undefined;
  },
});
