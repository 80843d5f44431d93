/** What the rows of the conformance suite share: a directory for each, child programs, and how often to try. */

import { test } from "bun:test";
import { mkdtempSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type Subprocess, spawn } from "bun";
import { programAt } from "../support/programs.ts";
import { linesOf } from "../support/tools.ts";
import type { ContentUnderTest, ReaderOf, WriterOf } from "./contents.ts";

/** In the soak every row is tried so many times as often: CONFORMANCE=50. */
const FACTOR = Number(process.env.CONFORMANCE ?? 1);

export const isSoak = FACTOR > 1;

/** How often a row tries, `count` in the test suite. */
export const rounds = (count: number): number => Math.ceil(count * FACTOR);

/** Registers the rows of a content: a row is a test, unless the content says why it makes no sense for it. */
export const rowsOf =
  ({ without }: ContentUnderTest) =>
  (title: string, run: () => void | Promise<void>): void => {
    if (without?.[title] === undefined) test(title, run);
  };

/** For a whole row, in milliseconds; also when the machine is busy. */
export const rowTimeout = (): number => 240_000 * Math.max(1, FACTOR);

const programs = join(import.meta.dir, "../process");
export const CHILD = join(programs, "conformance-child.ts");
export const WORKER = join(programs, "conformance-worker.ts");

/** A directory for one content, what is open in it, and the programs that use it: all gone at the end of the scope. */
export class Bench implements Disposable {
  readonly dir: string = mkdtempSync(join(tmpdir(), "shmstruct-conform-"));
  readonly content: ContentUnderTest;
  readonly #open = new DisposableStack();

  constructor(content: ContentUnderTest) {
    this.content = content;
    this.#open.defer(() => rmSync(this.dir, { recursive: true, force: true }));
  }

  get dataPath(): string {
    return join(this.dir, this.content.file);
  }

  get lockPath(): string {
    return join(this.dir, this.content.lockFile);
  }

  create(options: Parameters<ContentUnderTest["create"]>[1] = {}): WriterOf {
    return this.#open.use(this.content.create(this.dir, options));
  }

  writer(): WriterOf {
    return this.#open.use(this.content.openWriter(this.dir));
  }

  reader(): ReaderOf {
    return this.#open.use(this.content.openReader(this.dir));
  }

  /** Names in the directory, sorted. */
  files(): string[] {
    return readdirSync(this.dir).toSorted();
  }

  /** What a segment whose file was made and used leaves in its directory. */
  ownFiles(): string[] {
    const { file, lockFile, sideFiles = [] } = this.content;
    return [file, lockFile, `${lockFile}-page`, ...sideFiles].toSorted();
  }

  /** A child program on this directory: `action` of conformance-child.ts. Killed at the end of the scope. */
  child(action: string, ...args: (string | number)[]): Child {
    return this.#open.use(
      new Child([programAt(CHILD), this.content.name, action, this.dir, ...args.map(String)]),
    );
  }

  [Symbol.dispose](): void {
    this.#open.dispose();
  }
}

export interface ChildOptions {
  readonly cwd?: string;
  readonly env?: Record<string, string>;
  /** Before `bun` and its arguments. */
  readonly through?: readonly string[];
  /** Instead of the Bun of this process. */
  readonly bun?: string;
}

/** A Bun program whose lines are read one by one. */
export class Child implements Disposable {
  readonly process: Subprocess<"pipe", "pipe", "pipe">;
  readonly #lines: AsyncGenerator<string>;
  readonly #errors: Promise<string>;

  constructor(
    args: readonly string[],
    { cwd, env = {}, through = [], bun = process.execPath }: ChildOptions = {},
  ) {
    this.process = spawn([...through, bun, ...args], {
      stdin: "pipe",
      stdout: "pipe",
      stderr: "pipe",
      env: { ...process.env, ...env },
      ...(cwd === undefined ? {} : { cwd }),
    });
    this.#lines = linesOf(this.process.stdout);
    this.#errors = this.process.stderr.text();
  }

  /** The next line. @throws Error when it ends before, or says nothing in time */
  async line(timeoutMs = 120_000): Promise<string> {
    const late = Bun.sleep(timeoutMs).then(() => "late" as const);
    const turn = await Promise.race([this.#lines.next(), late]);
    if (turn !== "late" && !turn.done) return turn.value;
    this.kill();
    throw new Error(`no line within ${timeoutMs} ms: ${await this.#errors}`);
  }

  /** Lets it go on: it waits for a line of its standard input. */
  say(line = "go"): void {
    this.process.stdin.write(`${line}\n`);
    this.process.stdin.flush();
  }

  kill(signal: NodeJS.Signals = "SIGKILL"): void {
    this.process.kill(signal);
  }

  /** Waits for its end, and returns its exit code or its signal. @throws Error when it does not end in time */
  async end(timeoutMs = 120_000): Promise<number | string> {
    const late = Bun.sleep(timeoutMs).then(() => "late" as const);
    const ended = await Promise.race([this.process.exited, late]);
    if (ended !== "late") return this.process.signalCode ?? ended;
    this.kill();
    throw new Error(`still running after ${timeoutMs} ms: ${await this.#errors}`);
  }

  /** Its standard error, once it has ended. */
  errors(): Promise<string> {
    return this.#errors;
  }

  [Symbol.dispose](): void {
    this.kill();
  }
}

/** A wait that an assertion bounds: the promise's value, or an error after so many milliseconds. */
export async function within<T>(timeoutMs: number, promise: Promise<T>): Promise<T> {
  const late = Bun.sleep(timeoutMs).then(() => {
    throw new Error(`nothing happened within ${timeoutMs} ms`);
  });
  return Promise.race([promise, late]);
}

/** Looks again and again, as deleted files are noticed within 100 ms only. */
export async function eventually(isSo: () => boolean, timeoutMs = 120_000): Promise<void> {
  const end = performance.now() + timeoutMs;
  while (!isSo()) {
    if (performance.now() > end) throw new Error(`not so within ${timeoutMs} ms: ${isSo}`);
    await Bun.sleep(5);
  }
}
