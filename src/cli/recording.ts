/**
 * What `record` writes and `replay` reads: lines of JSON, compressed with zstd in frames of their own, so that a recording
 * whose program was killed can be read up to its last frame.
 *
 *     { "recording": 1, "startedAt": 1795919298434, "segments": [{ "path", "kind", "schema" }] }
 *     { "segment": 0, "at": 12.5, "version": 7, "skipped": 0, "value": … }          a state
 *     { "segment": 1, "at": 13.1, "index": 4, "missed": 0, "sentAt", "type", "value": … }   a message
 */
import { closeSync, openSync, readFileSync, writeSync } from "node:fs";
import { constants, zstdDecompressSync } from "node:zlib";
import type { StructSchema } from "../struct/schema/schema.ts";
import { throughFs } from "../sys/paths.ts";
import { UsageError } from "./command.ts";
import { escapeText, toJson } from "./output.ts";
import { outputPath } from "./output-file.ts";

export interface RecordedSegment {
  readonly path: string;
  readonly kind: string;
  /** The struct that it is, or that its messages are; null for documents and raw bytes. */
  readonly schema: StructSchema | null;
}

export interface RecordingHead {
  readonly recording: 1;
  /** Milliseconds since 1970. */
  readonly startedAt: number;
  readonly segments: readonly RecordedSegment[];
}

/** A state or a message. */
export interface RecordedItem {
  /** Index in the head's segments. */
  readonly segment: number;
  /** Milliseconds since the start. */
  readonly at: number;
  readonly value: unknown;
  // Of a state.
  readonly version?: number;
  /** Commits that were not seen between the state before and this one. */
  readonly skipped?: number;
  // Of a message.
  readonly index?: number;
  readonly missed?: number;
  readonly sentAt?: number;
  readonly type?: number;
}

const FRAME_CHARACTERS = 256 * 1024;
/** What a recording loses at most whose program is killed. */
const FLUSH_EVERY_MS = 500;

export class RecordingWriter implements Disposable {
  readonly #fd: number;
  #lines: string[] = [];
  #characters = 0;
  /** Runs while there are lines that are not written yet. */
  #timer: ReturnType<typeof setTimeout> | undefined;
  /** Why the timer could not write. */
  #failure: unknown;

  /** @throws UsageError for a segment; SystemError */
  constructor(path: string, head: RecordingHead) {
    this.#fd = throughFs(() => openSync(outputPath(path), "w", 0o600));
    this.#add(head);
    this.flush();
  }

  /** Written within half a second, also where nothing follows. @throws SystemError, also of what was to be written before */
  add(item: RecordedItem): void {
    this.#add(item);
    if (this.#failure !== undefined || this.#characters > FRAME_CHARACTERS) this.flush();
    else this.#timer ??= setTimeout(this.#flushLater, FLUSH_EVERY_MS);
  }

  readonly #flushLater = (): void => {
    try {
      this.flush();
    } catch (error) {
      this.#failure = error;
    }
  };

  #add(value: unknown): void {
    const line = toJson(value);
    this.#lines.push(line);
    this.#characters += line.length;
  }

  flush(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    if (this.#failure !== undefined) throw this.#failure;
    if (this.#lines.length === 0) return;
    const frame = Bun.zstdCompressSync(Buffer.from(`${this.#lines.join("\n")}\n`));
    for (let written = 0; written < frame.length; ) written += writeSync(this.#fd, frame, written);
    this.#lines = [];
    this.#characters = 0;
  }

  [Symbol.dispose](): void {
    this.flush();
    closeSync(this.#fd);
  }
}

/** Bytes of lines that a recording may have unless told otherwise: a few kilobytes of zstd can hold gigabytes. */
export const MAX_RECORDING_BYTES = 2 ** 28;

/**
 * @param maxBytes of its lines
 * @throws UsageError for what is no recording, and for a longer one
 */
export function readRecording(
  path: string,
  maxBytes = MAX_RECORDING_BYTES,
): { head: RecordingHead; items: RecordedItem[] } {
  try {
    const [head, ...items] = linesIn(path, maxBytes).map((line) => JSON.parse(line) as unknown);
    if (isHead(head) && items.every(isItem)) return { head, items };
  } catch (cause) {
    const isLonger = (cause as NodeJS.ErrnoException).code === "ERR_BUFFER_TOO_LARGE";
    throw new UsageError(
      isLonger
        ? `'${escapeText(path)}' has more than ${maxBytes} bytes of lines; --max-bytes takes more`
        : `'${escapeText(path)}' is no recording: ${escapeText(String(cause))}`,
    );
  }
  throw new UsageError(`'${escapeText(path)}' is no recording: shmstruct record makes one`);
}

/** Whole lines: of a recording whose program was killed the last frame may not be whole. */
function linesIn(path: string, maxBytes: number): string[] {
  const options = { maxOutputLength: maxBytes, finishFlush: constants.ZSTD_e_flush };
  const text = zstdDecompressSync(readFileSync(path), options).toString();
  return text
    .slice(0, text.lastIndexOf("\n") + 1)
    .split("\n")
    .filter((line) => line !== "");
}

const isObject = (value: unknown): value is Record<string, unknown> =>
  typeof value === "object" && value !== null;

const isHead = (value: unknown): value is RecordingHead =>
  isObject(value) &&
  value.recording === 1 &&
  Array.isArray(value.segments) &&
  value.segments.every((segment) => isObject(segment) && typeof segment.path === "string");

/** What they say is printed as it is, so it must be numbers. */
const NUMBERS = ["version", "skipped", "index", "missed", "sentAt", "type"] as const;

const isItem = (value: unknown): value is RecordedItem =>
  isObject(value) &&
  Number.isFinite(value.at) &&
  Number.isSafeInteger(value.segment) &&
  NUMBERS.every((name) => value[name] === undefined || Number.isFinite(value[name]));
