import type { LookedAtMessage } from "../../segment/inspector.ts";
import { type Command, define, EXIT, numberOption, TRUST, UsageError } from "../command.ts";
import { openInspector } from "../open.ts";
import { escapeText, type Output, timeText } from "../output.ts";
import { valueText } from "../tree.ts";

const FROM = ["newest", "oldest", "next"] as const;

export const command: Command = define({
  args: "FILE",
  count: [1, 1],
  details: "Messages of a channel as they come, each with how many were missed before it.",
  options: {
    from: { type: "string", value: "WHERE", help: `${FROM.join(", ")} (default newest)` },
    count: { type: "string", short: "n", value: "N", help: "end after so many" },
    ...TRUST,
  },
  examples: ["shmstruct tail Frame", "shmstruct tail --json -n 10 --from oldest Frame"],
  async run([file = ""], { from = "newest", count, ...trust }, out) {
    const where = FROM.find((known) => known === from);
    if (where === undefined)
      throw new UsageError(`--from must be ${FROM.join(", ")}, got '${escapeText(from)}'`);
    let left = numberOption("count", count, 1) ?? Number.POSITIVE_INFINITY;
    using inspector = openInspector(file, trust);
    if (inspector.messages === undefined)
      throw new UsageError(
        `'${escapeText(inspector.path)}' is a ${inspector.kind}, which has no messages: see watch`,
      );
    out.endWithReader();
    for await (const message of inspector.messages({ from: where })) {
      print(out, message);
      if (--left <= 0) break;
    }
    return EXIT.done;
  },
});

function print(out: Output, message: LookedAtMessage): void {
  if (out.isJson) {
    out.json(message);
    return;
  }
  const { index, missed, sentAt, type, value } = message;
  if (missed > 0) out.line(out.paint("yellow", `… ${missed} missed`));
  const head = `#${index} ${timeText(sentAt)}${type === 0 ? "" : ` type ${type}`}`;
  out.line(`${out.paint("dim", head)} ${valueText(value)}`);
}
