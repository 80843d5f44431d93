import { statSync } from "node:fs";
import { basename, join } from "node:path";
import { type Command, define, NotFoundError, numberOption, TIMEOUT, TRUST, UsageError } from "../command.ts";
import { LIMITS, type OpenValues, openForWriting, openOptions, roomOf } from "../open.ts";
import { escapeText, type Output } from "../output.ts";
import { like } from "../paths.ts";
import { MAX_RECORDING_BYTES, type RecordedItem, type RecordedSegment, readRecording } from "../recording.ts";
import { valueText } from "../tree.ts";

const MAX_TRIES = 100;

export const command: Command = define({
  args: "RECORDING",
  count: [1, 1],
  details:
    "Prints what was recorded at the pace at which it came, or puts it into files: records and documents get each state,\nchannels each message. The files have to be there; a channel's publisher has to have ended.",
  options: {
    to: {
      type: "string",
      value: "PATH",
      help: "into that file, or into the files of the same names in that directory",
    },
    speed: { type: "string", value: "N", help: "so many times as fast (default 1; 0: at once)" },
    "max-bytes": {
      type: "string",
      value: "N",
      help: `a recording of more bytes of lines is refused (${MAX_RECORDING_BYTES})`,
    },
    ...TIMEOUT,
    ...TRUST,
  },
  examples: ["shmstruct replay trial.zst", "shmstruct replay --speed 0.5 --to /run/simulation trial.zst"],
  async run([file = ""], { to, speed: times, "max-bytes": most, ...values }, out) {
    const speed = numberOption("speed", times) ?? 1;
    const { head, items } = readRecording(file, numberOption("max-bytes", most, 1));
    using stack = new DisposableStack();
    const targets = head.segments.map((segment) =>
      stack.use(
        to === undefined ? printer(out, segment) : openTarget(fileIn(to, segment, head.segments), values),
      ),
    );
    const began = performance.now();
    for (const item of items) {
      const waitMs = speed === 0 ? 0 : item.at / speed - (performance.now() - began);
      if (waitMs > 0) await Bun.sleep(waitMs);
      targets[item.segment]?.put(item);
    }
    return undefined;
  },
});

/** Where the items of one segment go. */
interface Target extends Disposable {
  put(item: RecordedItem): void;
}

function printer(out: Output, { path }: RecordedSegment): Target {
  const name = escapeText(basename(path));
  return {
    put: (item) => {
      if (out.isJson) out.json({ path, ...item });
      else out.line(`${out.paint("dim", `${name} ${headOf(item)}`)} ${valueText(item.value)}`);
    },
    [Symbol.dispose]: () => undefined,
  };
}

function headOf({ at, index, missed = 0, version, skipped = 0 }: RecordedItem): string {
  const lost = missed + skipped > 0 ? ` (${missed + skipped} before it not seen)` : "";
  return `${(at / 1000).toFixed(3)}s ${index === undefined ? `version ${version}` : `#${index}`}${lost}`;
}

/** @throws UsageError for several segments and one file */
function fileIn(to: string, { path }: RecordedSegment, all: readonly RecordedSegment[]): string {
  if (statSync(to, { throwIfNoEntry: false })?.isDirectory()) return join(to, basename(path));
  if (all.length === 1) return to;
  throw new UsageError(`the recording has ${all.length} segments: --to must be a directory`);
}

function openTarget(file: string, values: OpenValues): Target {
  const { path, room } = roomOf(file);
  if (room.sender === undefined) return editing(file, values);
  const sender = room.sender(path, { ...openOptions(values), limits: LIMITS });
  return {
    put: ({ value, type = 0 }) => sender.send(like(value, sender.blank), { type }),
    [Symbol.dispose]: () => sender[Symbol.dispose](),
  };
}

function editing(file: string, values: OpenValues): Target {
  const editor = openForWriting(file, values);
  return {
    put({ value }) {
      for (let tries = 0; tries < MAX_TRIES; tries++) {
        const { version, value: current } = editor.look();
        if (editor.replace(like(value, current), version)) return;
      }
      throw new NotFoundError(`'${escapeText(editor.path)}' has another writer that never rests`);
    },
    [Symbol.dispose]: () => editor[Symbol.dispose](),
  };
}
