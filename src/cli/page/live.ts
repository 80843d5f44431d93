/** What one open page sees of one segment: looks at display rate, without locks, and tells only what is new. */
import type { Inspector, Look, LookedAtMessage } from "../../segment/inspector.ts";
import { valueText } from "../tree.ts";
import type { ClientMessage, MessageRow, Row, ServerMessage, Value } from "./protocol.ts";
import { rowsOf, sameRows } from "./rows.ts";

/** Between looks the server rests so many times as long as a look takes, so that a huge struct does not fill its time. */
const REST = 3;
/** Other rows than before are sent so often at most: a queue's jobs come and go all the time. */
const ROWS_EVERY_MS = 250;
const REOPEN_EVERY_MS = 500;
const MAX_BYTES = 256 * 1024;
/** Bytes are compared and sent in blocks. */
const BLOCK_BYTES = 256;
/** Messages in one frame; what comes faster is counted as missed. */
const MAX_MESSAGES = 100;
const MAX_MESSAGE_TEXT = 2000;

type Watching = Extract<ClientMessage, { do: "watch" }>;

export class LiveView implements Disposable {
  readonly path: string;
  readonly #open: () => Inspector;
  #inspector: Inspector | undefined;
  #wants: Watching;
  #rows: readonly Row[] | undefined;
  #values: readonly Value[] = [];
  #bytes = new Uint8Array(0);
  #version = -1;
  #stream: MessageStream | undefined;
  /** Milliseconds of performance.now(): the last look at the version. */
  #lookedAt = 0;
  /** Not before this. */
  #nextLook = 0;
  #nextRows = 0;
  #problem = "";

  constructor(wants: Watching, open: () => Inspector) {
    this.path = wants.path;
    this.#wants = wants;
    this.#open = open;
  }

  /** The page shows more or less of it. */
  change(wants: Watching): void {
    if (wants.bytes && !this.#wants.bytes) this.#bytes = new Uint8Array(0);
    if (!wants.messages) this.#endStream();
    this.#wants = wants;
    this.#version = -1;
  }

  /** What is new since the last call. */
  frames(): ServerMessage[] {
    const now = performance.now();
    if (now < this.#nextLook) return [];
    try {
      this.#inspector ??= this.#open();
      const frames = [...this.#look(this.#inspector), ...this.#messages(this.#inspector)];
      this.#nextLook = now + REST * (performance.now() - now);
      this.#problem = "";
      return frames;
    } catch (error) {
      return this.#fail(error, now);
    }
  }

  /** Gone, replaced by something else, or damaged: it is opened again from time to time. */
  #fail(error: unknown, now: number): ServerMessage[] {
    this.#close();
    this.#nextLook = now + REOPEN_EVERY_MS;
    const text = error instanceof Error ? error.message : String(error);
    if (text === this.#problem) return [];
    this.#problem = text;
    return [{ do: "problem", path: this.path, text }];
  }

  #look(inspector: Inspector): ServerMessage[] {
    const before = this.#lookedAt;
    this.#lookedAt = performance.now();
    if (inspector.version === this.#version) return [];
    const { version, value, bytes } = inspector.look();
    const tree = this.#treeFrame(inspector, { version, value, before });
    if (tree === undefined) return [];
    this.#version = version;
    const blocks = bytes !== undefined && this.#wants.bytes ? this.#changedBlocks(bytes) : [];
    return blocks.length === 0 ? [tree] : [tree, { do: "bytes", path: this.path, changed: blocks }];
  }

  #treeFrame(
    inspector: Inspector,
    { version, value, before }: Pick<Look, "version" | "value"> & { before: number },
  ): ServerMessage | undefined {
    const { path } = this;
    const at = this.#lookedAt;
    // Of channels and queues the schema is that of their messages.
    const schema = inspector.kind === "record" ? inspector.schema : undefined;
    const { rows, values } = rowsOf(value, schema);
    const old = this.#values;
    if (this.#rows !== undefined && sameRows(rows, this.#rows)) {
      this.#values = values;
      const changed = values.flatMap((item, i) => (Object.is(item, old[i]) ? [] : [[i, item] as const]));
      return { do: "values", path, version, at, before, changed };
    }
    if (at < this.#nextRows) return undefined;
    this.#nextRows = at + ROWS_EVERY_MS;
    this.#rows = rows;
    this.#values = values;
    const { kind } = inspector;
    const about = { kind, struct: inspector.schema?.name ?? "", size: schema?.size ?? 0, version, at };
    return { do: "rows", path, ...about, hasMessages: inspector.messages !== undefined, rows, values };
  }

  #changedBlocks(bytes: Uint8Array): [number, string][] {
    const now = bytes.slice(0, MAX_BYTES);
    const changed: [number, string][] = [];
    for (let start = 0; start < now.length; start += BLOCK_BYTES) {
      const block = Buffer.from(now.subarray(start, start + BLOCK_BYTES));
      const old = this.#bytes.subarray(start, start + BLOCK_BYTES);
      if (!block.equals(old)) changed.push([start, block.toString("base64")]);
    }
    this.#bytes = now;
    return changed;
  }

  #messages(inspector: Inspector): ServerMessage[] {
    if (!this.#wants.messages || inspector.messages === undefined) return [];
    this.#stream ??= new MessageStream(inspector);
    const messages = this.#stream.take();
    return messages.length === 0 ? [] : [{ do: "messages", path: this.path, messages }];
  }

  #endStream(): void {
    this.#stream?.[Symbol.dispose]();
    this.#stream = undefined;
  }

  #close(): void {
    this.#endStream();
    this.#inspector?.[Symbol.dispose]();
    this.#inspector = undefined;
    this.#rows = undefined;
    this.#bytes = new Uint8Array(0);
    this.#version = -1;
  }

  [Symbol.dispose](): void {
    this.#close();
  }
}

/** Messages as they come, at most so many between two calls of `take`: the rest wait in the channel, or are overwritten. */
class MessageStream implements Disposable {
  readonly #end = new AbortController();
  #ready: MessageRow[] = [];
  #resume = (): void => {};

  constructor(inspector: Inspector) {
    this.#pump(inspector).catch(() => {
      // The channel is gone, which the next look tells.
    });
  }

  async #pump({ messages }: Inspector): Promise<void> {
    const { signal } = this.#end;
    // By looking, as a sleeper on the notifier would cost the publisher a wake-up at each message.
    for await (const message of messages!({ from: "oldest", signal, everyMs: 20 })) {
      if (signal.aborted) return;
      this.#ready.push(messageRow(message));
      if (this.#ready.length >= MAX_MESSAGES)
        await new Promise<void>((resolve) => {
          this.#resume = resolve;
        });
    }
  }

  take(): MessageRow[] {
    const ready = this.#ready;
    this.#ready = [];
    this.#resume();
    return ready;
  }

  [Symbol.dispose](): void {
    this.#end.abort();
    this.#resume();
  }
}

function messageRow({ value, ...rest }: LookedAtMessage): MessageRow {
  return { ...rest, text: valueText(value).slice(0, MAX_MESSAGE_TEXT) };
}
