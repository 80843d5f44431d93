/**
 * The contents that a segment may have, behind one small interface: the rows of the conformance suite know nothing else
 * of them, so a new content needs one entry here. The states of a content are numbered, and all bytes of a state follow
 * from its number: a mix of two states shows.
 *
 * Programs of tests/process import this file too, and copies of the library bring a copy of it.
 */
import { join } from "node:path";
import { type JsonFollower, JsonMap, type JsonMaster } from "../../src/document/index.ts";
import { Editor, FileMissingError, Manager, Reader } from "../../src/index.ts";
import { fillPattern, Pattern, stateOf } from "../record/structs.ts";
import { Large } from "./large.ts";
import { channel, queue } from "./streams.ts";

export interface Wait {
  readonly timeoutMs?: number | undefined;
}

export interface Opening {
  /** Others may truncate the file. */
  readonly shared?: boolean;
}

export interface Creation extends Wait, Opening {
  readonly force?: boolean;
  readonly mode?: number;
  /** A file of more than 1 MiB. */
  readonly large?: boolean;
}

/** A content that is open for reading. */
export interface ReaderOf extends Disposable {
  readonly path: string;
  readonly version: number;
  /**
   * The number of the newest state; undefined when there is no file. Looks at the file's length first.
   * @throws Error for a mix of states
   */
  newest(wait?: Wait): number | undefined;
  /** The same without any lock or system call, where the content can do that. */
  peek(): number | undefined;
  changes(options?: { readonly signal?: AbortSignal }): AsyncIterator<unknown, unknown>;
  close(): void;
}

/** A content that is open for writing. */
export interface WriterOf extends ReaderOf {
  commit(state: number, wait?: Wait): void;
  /** Like `commit`, without blocking the event loop, where the content can do that. */
  commitAsync?(state: number, wait?: Wait): Promise<void>;
  /** Commits the state after the newest one, which no other writer does meanwhile. */
  advance(wait?: Wait): void;
  /** Runs `fn` while others are kept out, then commits the state that there was. */
  hold(fn: () => void, wait?: Wait): void;
  /** Takes all descriptors that `advance` needs, where it does not have them all the time. */
  keepOpen?(): void;
  /** Keeps others out until it is released, where the content can do that beyond one call. */
  holdOpen?(wait?: Wait): { release(): void };
  remove(wait?: Wait): void;
}

/** Each throws an error whose name ends with TimeoutError. */
export interface LimitedCalls extends Disposable {
  readonly calls: readonly ((wait: Wait) => void)[];
  /** The action of conformance-child.ts that holds what they need. */
  readonly holder: "hold" | "holdLockFile";
}

export interface ContentUnderTest {
  readonly name: string;
  /** Names of the files of one segment in its directory. */
  readonly file: string;
  readonly lockFile: string;
  /** Other files that stay when it is removed. */
  readonly sideFiles?: readonly string[];
  /** A state is the number of commits, so no two states have one version. */
  readonly isCounter?: boolean;
  /** Its users hold no lock: only creating, replacing and removing it take one. */
  readonly isLockFree?: boolean;
  /** Calls that end by their time limit while others hold what they need, where these are not the usual ones. */
  limited?(dir: string): LimitedCalls;
  /** The rows that make no sense for it, by their titles, and why. */
  readonly without?: Readonly<Record<string, string>>;
  /** Makes the file where there is none, in state 0, and opens it. */
  create(dir: string, options?: Creation): WriterOf;
  openWriter(dir: string, options?: Opening): WriterOf;
  openReader(dir: string, options?: Opening): ReaderOf;
}

const torn = (what: string): Error => new Error(`a mix of states: ${what}`);

function whole(data: Pattern | Readonly<Pattern>): number {
  const state = stateOf(data as Pattern);
  if (state === undefined) throw torn(`count ${data.count}`);
  return state;
}

/** What `read` gives; undefined when there is no file. */
function unlessMissing<T>(read: () => T, path: string): T | undefined {
  try {
    return read();
  } catch (error) {
    if (error instanceof FileMissingError && error.path === path) return undefined;
    throw error;
  }
}

class RecordReader<R extends Reader<Pattern> | Editor<Pattern>> implements ReaderOf {
  protected readonly role: R;

  constructor(role: R) {
    this.role = role;
  }

  get path(): string {
    return this.role.path;
  }

  get version(): number {
    return this.role.version;
  }

  newest(wait: Wait = { timeoutMs: 30_000 }): number | undefined {
    return unlessMissing(() => this.role.read(whole as (data: unknown) => number, wait), this.path);
  }

  peek(): number | undefined {
    return unlessMissing(() => whole(this.role.snapshot()), this.path);
  }

  changes(options?: { readonly signal?: AbortSignal }): AsyncIterator<unknown, unknown> {
    return this.role.changes(options);
  }

  close(): void {
    this.role.close();
  }

  [Symbol.dispose](): void {
    this.close();
  }
}

class RecordWriter extends RecordReader<Editor<Pattern>> implements WriterOf {
  commit(state: number, wait: Wait = {}): void {
    this.role.edit((data) => fillPattern(data, state), wait);
  }

  async commitAsync(state: number, wait: Wait = {}): Promise<void> {
    await this.role.editAsync((data) => fillPattern(data, state), wait);
  }

  advance(wait: Wait = {}): void {
    this.role.edit((data) => fillPattern(data, whole(data) + 1), wait);
  }

  hold(fn: () => void, wait: Wait = {}): void {
    this.role.edit(() => fn(), wait);
  }

  holdOpen(wait: Wait = {}): { release(): void } {
    return this.role.lock(wait);
  }

  remove(wait: Wait = {}): void {
    if (this.role instanceof Manager) this.role.remove(wait);
    else new Manager(Pattern, { dir: join(this.path, "..") }).remove(wait);
  }
}

const record: ContentUnderTest = {
  name: "record",
  file: "Pattern_.mmap",
  lockFile: "Pattern_.lock",
  create(dir, { large, ...options } = {}) {
    const cls = large ? Large : Pattern;
    return new RecordWriter(new Manager(cls, { dir, className: "Pattern", create: true, ...options }));
  },
  openWriter: (dir, options) => new RecordWriter(new Editor(Pattern, { dir, ...options })),
  openReader: (dir, options) => new RecordReader(new Reader(Pattern, { dir, ...options })),
};

interface Numbered {
  readonly n: number;
  readonly words: readonly number[];
  readonly text: string;
}

/** Documents of 0.5 to 2.5 KB, as neighbours differ in length. */
const documentOf = (n: number): Numbered => ({
  n,
  words: Array.from({ length: 100 + (n % 50) }, (_, i) => n ^ i),
  text: "ß".repeat((n * 7919) % 1000),
});

function numberOf(document: Numbered | undefined): number | undefined {
  if (document === undefined) return undefined;
  if (JSON.stringify(document) !== JSON.stringify(documentOf(document.n))) throw torn(`n ${document.n}`);
  return document.n;
}

class DocumentReader<M extends JsonFollower<Numbered>> implements ReaderOf {
  protected readonly map: M;

  constructor(map: M) {
    this.map = map;
  }

  get path(): string {
    return this.map.path;
  }

  get version(): number {
    return this.map.version;
  }

  newest(): number | undefined {
    return numberOf(this.map.read());
  }

  peek(): number | undefined {
    return this.newest();
  }

  changes(options?: { readonly signal?: AbortSignal }): AsyncIterator<unknown, unknown> {
    return this.map.changes(options);
  }

  close(): void {
    this.map.close();
  }

  [Symbol.dispose](): void {
    this.close();
  }
}

class DocumentWriter extends DocumentReader<JsonMaster<Numbered>> implements WriterOf {
  commit(state: number, wait: Wait = {}): void {
    this.map.write(documentOf(state), wait);
  }

  advance(wait: Wait = {}): void {
    this.map.update((document) => documentOf((numberOf(document) ?? 0) + 1), wait);
  }

  hold(fn: () => void, wait: Wait = {}): void {
    const keep = (document: Numbered | undefined): Numbered => {
      fn();
      return document ?? documentOf(0);
    };
    this.map.update(keep, wait);
  }

  remove(wait: Wait = {}): void {
    this.map.remove(wait);
  }
}

const document: ContentUnderTest = {
  name: "document",
  file: "d",
  lockFile: "d.lock",
  create(dir, { large = false, ...options } = {}) {
    const maxBytes = large ? 2 ** 21 : 16_384;
    const initial = documentOf(0);
    return new DocumentWriter(
      new JsonMap<Numbered>({ dir, file: "d", role: "master", maxBytes, initial, ...options }),
    );
  },
  openWriter(dir, options) {
    const how = { dir, file: "d", create: false, ...options };
    return new DocumentWriter(new JsonMap<Numbered>({ ...how, role: "master" }));
  },
  openReader(dir, options) {
    return new DocumentReader(new JsonMap<Numbered>({ dir, file: "d", role: "follower", ...options }));
  },
};

export const CONTENTS: readonly ContentUnderTest[] = [record, document, channel, queue];

/** @throws Error for a name there is not */
export function contentNamed(name: string | undefined): ContentUnderTest {
  const content = CONTENTS.find((candidate) => candidate.name === name);
  if (content === undefined) throw new Error(`there is no content ${name}`);
  return content;
}

/** The calls of a content that have a time limit, on a file that is there. */
export function limitedCalls(content: ContentUnderTest, dir: string): LimitedCalls {
  if (content.limited !== undefined) return content.limited(dir);
  const writer = content.openWriter(dir);
  const calls = [
    (wait: Wait) => writer.commit(1, wait),
    (wait: Wait) => writer.hold(() => {}, wait),
    (wait: Wait) => content.create(dir, { force: true, ...wait }).close(),
    (wait: Wait) => writer.remove(wait),
  ];
  return { calls, holder: "hold", [Symbol.dispose]: () => writer.close() };
}
