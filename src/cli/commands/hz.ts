import type { Inspector } from "../../segment/inspector.ts";
import { type Command, define, numberOption, TRUST } from "../command.ts";
import { rateText } from "../listing.ts";
import { openInspector } from "../open.ts";
import { bytesText, escapeText } from "../output.ts";

const HEADER = ["FILE", "KIND", "COUNT", "RATE", "MEAN", "BYTES/S", "MISSED", "INSIDE"];
const RIGHT = [2, 3, 4, 5, 6];
const DEFAULT_SECONDS = 1;

export const command: Command = define({
  args: "FILE…",
  count: [1, 1000],
  details:
    "Counts messages, jobs pushed or commits for some time. Of channels it reads every message, so it also tells their sizes,\nand how many came too fast for it.",
  options: {
    for: { type: "string", value: "SECONDS", help: `how long (default ${DEFAULT_SECONDS})` },
    ...TRUST,
  },
  examples: ["shmstruct hz Frame", "shmstruct hz --for 10 --json Frame Robot"],
  async run(files, { for: time, ...trust }, out) {
    const seconds = numberOption("for", time, 0.01) ?? DEFAULT_SECONDS;
    using stack = new DisposableStack();
    const inspectors = files.map((file) => stack.use(openInspector(file, trust)));
    const counts = await Promise.all(inspectors.map((inspector) => count(inspector, seconds)));
    if (out.isJson) for (const counted of counts) out.json(counted);
    else out.table(HEADER, counts.map(cells), RIGHT);
    return undefined;
  },
});

interface Counted {
  readonly path: string;
  readonly kind: string;
  readonly seconds: number;
  readonly count: number;
  /** A second. */
  readonly rate: number;
  /** Bytes of all messages; undefined for contents without any. */
  readonly bytes: number | undefined;
  readonly missed: number | undefined;
  readonly inside: Readonly<Record<string, number>> | undefined;
}

async function count(inspector: Inspector, wantedSeconds: number): Promise<Counted> {
  const { path, kind, version } = inspector;
  const began = performance.now();
  const messages = await read(inspector, wantedSeconds * 1000);
  const seconds = (performance.now() - began) / 1000;
  const number = messages === undefined ? Math.max(0, inspector.version - version) : messages.count;
  return {
    path,
    kind,
    seconds,
    count: number,
    rate: number / seconds,
    bytes: messages?.bytes,
    missed: messages?.missed,
    inside: inspector.gauges?.(),
  };
}

interface Messages {
  count: number;
  bytes: number;
  missed: number;
}

/** The messages of so long a time; undefined for contents without any. */
async function read({ messages }: Inspector, timeMs: number): Promise<Messages | undefined> {
  if (messages === undefined) {
    await Bun.sleep(timeMs);
    return undefined;
  }
  const signal = AbortSignal.timeout(timeMs);
  const all: Messages = { count: 0, bytes: 0, missed: 0 };
  try {
    for await (const { length, missed } of messages({ from: "next", signal })) {
      all.count += 1 + missed;
      all.bytes += length;
      all.missed += missed;
      if (signal.aborted) break;
    }
  } catch (error) {
    if (!signal.aborted) throw error;
  }
  return all;
}

function cells({ path, kind, count: number, rate, bytes, missed = 0, seconds, inside }: Counted): string[] {
  const read = number - missed;
  return [
    escapeText(path.slice(path.lastIndexOf("/") + 1)),
    kind,
    String(number),
    rateText(rate),
    bytes === undefined || read === 0 ? "-" : bytesText(Math.round(bytes / read)),
    bytes === undefined ? "-" : bytesText(Math.round(bytes / seconds)),
    bytes === undefined ? "-" : String(missed),
    Object.entries(inside ?? {})
      .map(([name, value]) => `${name} ${Math.round(value)}`)
      .join(", ") || "-",
  ];
}
