/** Threads that end with a segment open, and copies of the library in one thread, on every content. */
import { describe, expect, setDefaultTimeout, test } from "bun:test";
import type { Task } from "../process/conformance-worker.ts";
import { descriptorsOf, mappingsOf } from "../support/resources.ts";
import { CONTENTS } from "./contents.ts";
import { Bench, eventually, rounds, rowsOf, rowTimeout, WORKER, within } from "./support.ts";

setDefaultTimeout(rowTimeout());

/** A worker with a task, and what it says. */
class Thread implements Disposable {
  readonly #worker: Worker;
  readonly #ended: Promise<void>;
  readonly #said = Promise.withResolvers<string>();

  constructor(task: Task) {
    this.#worker = new Worker(WORKER);
    const ended = Promise.withResolvers<void>();
    this.#ended = ended.promise;
    this.#worker.addEventListener("close", () => ended.resolve());
    this.#worker.addEventListener("error", (event) => event.preventDefault());
    this.#worker.addEventListener("message", ({ data }) => this.#said.resolve(data));
    this.#worker.postMessage(task);
  }

  said(): Promise<string> {
    return within(120_000, this.#said.promise);
  }

  ended(): Promise<void> {
    return within(120_000, this.#ended);
  }

  async terminate(): Promise<void> {
    this.#worker.terminate();
    await this.ended();
  }

  [Symbol.dispose](): void {
    this.#worker.terminate();
  }
}

describe.each([...CONTENTS])("$name", (content) => {
  const row = rowsOf(content);
  const start = (bench: Bench, how: Task["how"]): Thread =>
    new Thread({ content: content.name, dir: bench.dir, how });

  /** What this process has open in a directory. */
  const openIn = (bench: Bench): string => `${descriptorsOf(bench.dir)} ${mappingsOf(bench.dir)}`;

  test.each(["end", "exit", "throw", "exitInside"] as const)(
    "a worker that ends with everything open gives it back (%s)",
    async (how) => {
      using bench = new Bench(content);
      const writer = bench.create();
      writer.commit(1);
      expect(writer.newest()).toBe(1);
      const before = openIn(bench);
      for (let i = 0; i < rounds(1); i++) {
        using thread = start(bench, how);
        await thread.ended();
      }
      await eventually(() => openIn(bench) === before);
      writer.advance({ timeoutMs: 0 });
      expect(writer.newest()).toBe(2);
    },
  );

  row(
    "after a worker that holds the lock was terminated the lock is free at once, and what is half done is not seen",
    async () => {
      using bench = new Bench(content);
      const writer = bench.create();
      writer.commit(1);
      expect(writer.newest()).toBe(1);
      const before = openIn(bench);
      for (let i = 0; i < rounds(2); i++) {
        using thread = start(bench, "hold");
        expect(await thread.said()).toBe("held");
        await thread.terminate();
        const state = writer.newest() as number;
        expect(writer.peek()).toBe(state);
        writer.advance({ timeoutMs: 5000 });
        expect(writer.newest()).toBe(state + 1);
        await eventually(() => openIn(bench) === before);
      }
    },
  );

  row("a worker that was terminated while it waits never gets the lock, and delays no other", async () => {
    using bench = new Bench(content);
    const writer = bench.create();
    writer.commit(1);
    expect(writer.newest()).toBe(1);
    const before = openIn(bench);
    for (let i = 0; i < rounds(2); i++) {
      const child = bench.child("hold");
      await child.line();
      using thread = start(bench, "wait");
      expect(await thread.said()).toBe("waiting");
      await Bun.sleep(30);
      await thread.terminate();
      child.say();
      await child.end();
      await eventually(() => openIn(bench) === before);
      for (let n = 0; n < 50; n++) writer.advance({ timeoutMs: 5000 });
      expect(writer.newest()).toBe(1 + 50 * (i + 1));
    }
  });

  row(
    "a worker that was terminated while it waits for changes leaves nothing open, and writers go on",
    async () => {
      using bench = new Bench(content);
      const writer = bench.create();
      const before = openIn(bench);
      for (let i = 0; i < rounds(4); i++) {
        using thread = start(bench, "watch");
        expect(await thread.said()).toBe("watching");
        // Before its own thread that waits has started, while it starts, and after that.
        await Bun.sleep((i * 7) % 50);
        await thread.terminate();
        for (let n = 0; n < 10; n++) writer.advance({ timeoutMs: 5000 });
        await eventually(() => openIn(bench) === before);
      }
    },
  );
});
