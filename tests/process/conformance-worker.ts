/** A thread of the conformance suite: opens a content, gets as far as it is told, and ends in one way or another. */
import { contentNamed } from "../conformance/contents.ts";

declare const self: Worker;

export interface Task {
  readonly content: string;
  readonly dir: string;
  /** What it does last. */
  readonly how: keyof typeof ENDS;
}

const stay = new Int32Array(new SharedArrayBuffer(4));

const ENDS = {
  /** By itself, with everything open. */
  end: () => {},
  exit: () => process.exit(0),
  throw: () => {
    setTimeout(() => {
      throw new Error("a worker's own error");
    });
  },
  /** In the middle of a write, by exit. */
  exitInside: () => writer().hold(() => process.exit(0)),
  /** Stays in the middle of a write until it is terminated. */
  hold: () => writer().hold(() => tell("held", () => void Atomics.wait(stay, 0, 0))),
  /** Waits for the lock, looking now and then, until it is terminated. */
  wait: () => tell("waiting", () => writer().commit(9, { timeoutMs: 60_000 })),
  /** Waits for changes until it is terminated. */
  watch: () => {
    void task?.reader.changes().next();
    self.postMessage("watching");
  },
} as const;

let task:
  | { writer: ReturnType<typeof open>["writer"]; reader: ReturnType<typeof open>["reader"] }
  | undefined;

function open({ content, dir }: Task) {
  const opened = contentNamed(content);
  return { writer: opened.openWriter(dir), reader: opened.openReader(dir) };
}

function writer(): ReturnType<typeof open>["writer"] {
  if (task === undefined) throw new Error("no task yet");
  return task.writer;
}

/** A message is delivered at once, also while the thread blocks afterwards. */
function tell(word: string, next: () => void): void {
  self.postMessage(word);
  next();
}

self.onmessage = ({ data }: MessageEvent<Task>) => {
  task = open(data);
  task.writer.peek();
  task.reader.peek();
  ENDS[data.how]();
  // Nothing keeps it alive any more.
  if (data.how === "end") self.onmessage = null;
};
