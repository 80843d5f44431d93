import { afterEach, expect, setDefaultTimeout, test } from "bun:test";
import { join } from "node:path";
import { ExistentialError, Semaphore, SharedMemory } from "../../src/posix/index.ts";
import { linesOf } from "../support/tools.ts";
import { freshName, nextLine, unlinkNames } from "./support.ts";

// Children, threads and long loops take their time on a busy machine.
setDefaultTimeout(240_000);

afterEach(unlinkNames);

const start = (program: string, ...names: string[]) =>
  Bun.spawn([process.execPath, join(import.meta.dir, "..", "..", "demo", program), ...names], {
    stdout: "pipe",
  });

test.each([["reader first"], ["writer first"]])(
  "the demo's writer and reader work together, %s",
  async (order) => {
    const names = [freshName(), freshName()] as const;
    const reader = order === "reader first" ? start("posix-reader.ts", ...names) : undefined;
    if (reader) await Bun.sleep(50);
    const writer = start("posix-writer.ts", ...names);
    expect(await writer.exited).toBe(0);
    const output = await (reader ?? start("posix-reader.ts", ...names)).stdout.text();
    expect(output).toBe(`waiting for ${names[1]}\nread "test" from ${names[0]}\n`);
    expect(() => new SharedMemory({ name: names[0] })).toThrow(ExistentialError);
    expect(() => new Semaphore({ name: names[1] })).toThrow(ExistentialError);
  },
);

test("Ctrl-C gets through to the handler of the demo's reader", async () => {
  const reader = start("posix-reader.ts", freshName(), freshName());
  const lines = linesOf(reader.stdout);
  expect(await nextLine(lines)).toStartWith("waiting");
  const signals = setInterval(() => reader.kill("SIGINT"), 100);
  expect(await nextLine(lines)).toBe("interrupted");
  clearInterval(signals);
  expect(await reader.exited).toBe(130);
});
