/** A file of one page that this process and others map. */
import { truncateSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { openFile } from "../../src/sys/file.ts";
import { O_RDONLY, O_RDWR } from "../../src/sys/libc/constants.ts";
import { Mapping } from "../../src/sys/mapping.ts";
import { temporaryDirectory } from "./temporary.ts";
import { linesOf } from "./tools.ts";

/** Mapped at most twice: for writing and, with `readOnly`, as a Reader would. Unmapped and gone at the end of its scope. */
export class SharedFile implements Disposable {
  readonly #stack = new DisposableStack();
  readonly path: string;

  constructor() {
    this.path = join(this.#stack.use(temporaryDirectory()).path, "shared");
    writeFileSync(this.path, "");
    truncateSync(this.path, 4096);
  }

  map(access: "read" | "write"): Mapping {
    const { path } = this;
    const flags = access === "read" ? O_RDONLY : O_RDWR;
    return this.#stack.use(Mapping.map(openFile(path, flags), { byteLength: 4096, access, path }));
  }

  /** Runs a program of tests/process on the file; it is killed at the end of the scope. */
  run(program: string, ...rest: string[]): Peer {
    return this.#stack.use(new Peer([process.execPath, join(programs, program), this.path, ...rest]));
  }

  [Symbol.dispose](): void {
    this.#stack.dispose();
  }
}

const programs = join(import.meta.dir, "../process");

/** Another process, and what it says. */
export class Peer implements Disposable {
  readonly #child;
  readonly #lines: AsyncIterator<string>;

  constructor(command: string[]) {
    this.#child = Bun.spawn(command, { stdout: "pipe", stderr: "pipe" });
    this.#lines = linesOf(this.#child.stdout);
  }

  /** The next line it prints. @throws Error when none comes in time, or it failed */
  async line(timeoutMs: number): Promise<string> {
    const late = Bun.sleep(timeoutMs).then(() => ({ done: true, value: "" }));
    const { done, value } = await Promise.race([this.#lines.next(), late]);
    if (!done) return value;
    this.#child.kill("SIGKILL");
    throw new Error(`the other process said nothing more: ${await new Response(this.#child.stderr).text()}`);
  }

  /** When it is done. @throws Error when it failed */
  async end(): Promise<void> {
    const status = await this.#child.exited;
    if (status !== 0)
      throw new Error(
        `the other process ended with ${status}: ${await new Response(this.#child.stderr).text()}`,
      );
  }

  [Symbol.dispose](): void {
    this.#child.kill("SIGKILL");
  }
}
