import type { Inspector } from "../../segment/inspector.ts";
import { type Command, define, numberOption, TRUST, UsageError } from "../command.ts";
import { openInspector } from "../open.ts";
import { escapeText } from "../output.ts";
import { STDOUT } from "../output-file.ts";
import { type RecordedItem, RecordingWriter } from "../recording.ts";

const DEFAULT_HZ = 60;

export const command: Command = define({
  args: "FILE…",
  count: [1, 1000],
  details:
    "Of channels every message, with how many were missed before it; of others each state that is seen, with its version and\nhow many commits were skipped. Ends after --for, or with Ctrl-C. The recording is JSON lines, compressed with zstd.",
  options: {
    output: { type: "string", short: "o", value: "FILE", help: "where to; needed" },
    for: { type: "string", value: "SECONDS", help: "how long (default: until it is interrupted)" },
    hz: { type: "string", value: "N", help: `looks a second (default ${DEFAULT_HZ})` },
    ...TRUST,
  },
  examples: ["shmstruct record Robot Frame -o trial.zst", "zstdcat trial.zst | jq .value.speed"],
  async run(files, { output, for: time, hz, ...trust }, out) {
    if (output === undefined) throw new UsageError("-o FILE says where the recording goes");
    if (output === STDOUT)
      throw new UsageError("-o - : a recording is made in a file, not on stdout; ./- is a file of that name");
    const seconds = numberOption("for", time, 0.01);
    const pauseMs = 1000 / (numberOption("hz", hz, 0.01) ?? DEFAULT_HZ);
    using stack = new DisposableStack();
    const inspectors = files.map((file) => stack.use(openInspector(file, trust)));
    const startedAt = Date.now();
    const segments = inspectors.map(({ path, kind, schema = null }) => ({ path, kind, schema }));
    using writer = new RecordingWriter(output, { recording: 1, startedAt, segments });
    const recorder = new Recorder(writer, ending(seconds), pauseMs);
    await Promise.all(inspectors.map((inspector, i) => recorder.record(inspector, i)));
    if (out.isJson) out.json({ path: output, items: recorder.count });
    else out.line(`${recorder.count} in ${escapeText(output)}`);
    return undefined;
  },
});

/** Aborted after so long, or by Ctrl-C. */
function ending(seconds: number | undefined): AbortSignal {
  const interrupt = new AbortController();
  for (const signal of ["SIGINT", "SIGTERM"] as const) process.once(signal, () => interrupt.abort());
  if (seconds !== undefined) setTimeout(() => interrupt.abort(), seconds * 1000);
  return interrupt.signal;
}

class Recorder {
  count = 0;
  readonly #writer: RecordingWriter;
  readonly #signal: AbortSignal;
  readonly #pauseMs: number;
  readonly #began = performance.now();

  constructor(writer: RecordingWriter, signal: AbortSignal, pauseMs: number) {
    this.#writer = writer;
    this.#signal = signal;
    this.#pauseMs = pauseMs;
  }

  async record(inspector: Inspector, segment: number): Promise<void> {
    if (inspector.messages === undefined) await this.#states(inspector, segment);
    else await this.#messages(inspector.messages, segment);
  }

  async #messages(messages: NonNullable<Inspector["messages"]>, segment: number): Promise<void> {
    const signal = this.#signal;
    try {
      for await (const { length: _, ...message } of messages({ from: "next", signal })) {
        this.#add({ segment, ...message });
        if (signal.aborted) return;
      }
    } catch (error) {
      if (!signal.aborted) throw error;
    }
  }

  /** Looks at display rate, without a lock: it costs the writer nothing. */
  async #states(inspector: Inspector, segment: number): Promise<void> {
    for (let last: number | undefined; !this.#signal.aborted; await Bun.sleep(this.#pauseMs)) {
      if (inspector.version === last) continue;
      const { version, value } = inspector.look();
      const skipped = last === undefined ? 0 : Math.max(0, version - last - 1);
      this.#add({ segment, version, skipped, value });
      last = version;
    }
  }

  #add(item: Omit<RecordedItem, "at">): void {
    this.count++;
    this.#writer.add({ ...item, at: Math.round((performance.now() - this.#began) * 1000) / 1000 });
  }
}
