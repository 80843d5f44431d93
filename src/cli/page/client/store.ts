/** What the page knows of the segments that it shows. */
import type { MessageRow, Row, ServerMessage, Value } from "../protocol.ts";

const MAX_MESSAGES = 2000;
const RATE_OVER_MS = 2000;

/** A segment that is looked at. */
export class Live {
  readonly path: string;
  kind = "";
  struct = "";
  size = 0;
  version = 0;
  hasMessages = false;
  rows: readonly Row[] = [];
  values: Value[] = [];
  /** When each value changed last, milliseconds of performance.now(). */
  changedAt = new Float64Array(0);
  bytes = new Uint8Array(0);
  messages: MessageRow[] = [];
  missed = 0;
  problem = "";
  /** When the server looked last, by the page's clock. */
  lookedAt = 0;
  /** When it saw the old values last. */
  lookedBefore = 0;
  /** The page's clock against the server's, when a frame came with the least delay. */
  #clocks = Number.POSITIVE_INFINITY;
  readonly #versions: { at: number; version: number }[] = [];
  #indexes: Map<string, number> | undefined;

  constructor(path: string) {
    this.path = path;
  }

  /** Where a path is in the rows. */
  indexOf(path: string): number | undefined {
    this.#indexes ??= new Map(this.rows.map((row, i) => [row.path, i]));
    return this.#indexes.get(path);
  }

  /** Commits a second, over the last two seconds. */
  get rate(): number {
    const now = performance.now();
    const first = this.#versions.find(({ at }) => now - at < RATE_OVER_MS);
    const last = this.#versions.at(-1);
    if (first === undefined || last === undefined || last === first) return 0;
    return ((last.version - first.version) * 1000) / Math.max(last.at - first.at, 50);
  }

  /** Another server, another clock. */
  forgetClock(): void {
    this.#clocks = Number.POSITIVE_INFINITY;
    this.#versions.length = 0;
  }

  hear(message: ServerMessage): void {
    if (message.do === "rows") this.#setRows(message);
    else if (message.do === "values") this.#setValues(message);
    else if (message.do === "bytes") this.#setBytes(message.changed);
    else if (message.do === "messages") this.#addMessages(message.messages);
    else if (message.do === "problem") this.problem = message.text;
  }

  #setRows(message: Extract<ServerMessage, { do: "rows" }>): void {
    const { rows, values, kind, struct, size, hasMessages, version, at } = message;
    Object.assign(this, { rows, values: [...values], kind, struct, size, hasMessages, problem: "" });
    this.changedAt = new Float64Array(rows.length).fill(Number.NEGATIVE_INFINITY);
    this.#indexes = undefined;
    this.#note(version, at);
  }

  #setValues({ version, at, before, changed }: Extract<ServerMessage, { do: "values" }>): void {
    const now = performance.now();
    for (const [i, value] of changed) {
      this.values[i] = value;
      this.changedAt[i] = now;
    }
    this.#note(version, at);
    this.lookedBefore = before + this.#clocks;
  }

  #note(version: number, serverAt: number): void {
    this.version = version;
    this.#clocks = Math.min(this.#clocks, performance.now() - serverAt);
    const at = serverAt + this.#clocks;
    this.lookedAt = at;
    this.#versions.push({ at, version });
    while (this.#versions.length > 2 && at - this.#versions[0]!.at > RATE_OVER_MS) this.#versions.shift();
  }

  #setBytes(changed: readonly (readonly [number, string])[]): void {
    for (const [offset, base64] of changed) {
      const block = Uint8Array.from(atob(base64), (character) => character.charCodeAt(0));
      if (this.bytes.length < offset + block.length) {
        const larger = new Uint8Array(offset + block.length);
        larger.set(this.bytes);
        this.bytes = larger;
      }
      this.bytes.set(block, offset);
    }
  }

  #addMessages(messages: readonly MessageRow[]): void {
    this.missed += messages.reduce((sum, { missed }) => sum + missed, 0);
    this.messages = [...this.messages, ...messages].slice(-MAX_MESSAGES);
  }
}
