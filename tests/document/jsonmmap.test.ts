import { afterAll, describe, expect, setDefaultTimeout, test } from "bun:test";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { formatFor } from "../../src/document/document-format.ts";
import { type Json, JsonMap } from "../../src/document/index.ts";
import { hasTool, linesOf } from "../support/tools.ts";

// Children, threads and long loops take their time on a busy machine.
setDefaultTimeout(240_000);

const dir = mkdtempSync(join(tmpdir(), "shmstruct-jsonmmap-"));
afterAll(() => rmSync(dir, { recursive: true, force: true }));

/** A follower in Python that goes by jsonmmap's format; every call of `read` is a read of it. */
function pythonFollower(file: string) {
  const script = join(import.meta.dir, "../process/json-follower.py");
  const child = Bun.spawn(["python3", script, file], { stdin: "pipe", stdout: "pipe" });
  const lines = linesOf(child.stdout);
  const read = async (): Promise<string> => {
    child.stdin.write("\n");
    await child.stdin.flush();
    return (await lines.next()).value as string;
  };
  const dispose = async () => {
    child.stdin.end();
    await child.exited;
  };
  return { read, [Symbol.asyncDispose]: dispose };
}

describe("a follower of jsonmmap", () => {
  test.skipIf(!hasTool("python3"))(
    "a follower of jsonmmap reads null before the first write, then every document (needs python3)",
    async () => {
      const file = join(dir, "a");
      using master = new JsonMap<Json>({ file, role: "master", maxBytes: 10_000 });
      await using python = pythonFollower(file);
      expect(await python.read()).toBe("null");
      const documents: Json[] = [
        { port: 80 },
        ["ß", "漢", "😀", "a:b", "\u0000"],
        "x".repeat(9998),
        {},
        0,
        { a: ["1:2", { b: null }] },
      ];
      for (const document of documents) {
        master.write(document);
        expect(JSON.parse(await python.read())).toEqual(document);
      }
    },
  );

  test.skipIf(!hasTool("python3"))(
    "a follower of jsonmmap finds no length while a document is written, and stays with what it has (needs python3)",
    async () => {
      const file = join(dir, "b");
      {
        using master = new JsonMap<Json>({ file, role: "master" });
        master.write([1, 2, 3]);
      }
      // As a writer leaves it that is killed after its commit, halfway through the text at the start.
      const bytes = readFileSync(file);
      bytes.write(":[1,9");
      bytes.writeInt32LE(0, formatFor(65_536).mirroredOffset);
      writeFileSync(file, bytes);
      await using python = pythonFollower(file);
      expect(await python.read()).toBe("ValueError");
      using follower = new JsonMap<Json>({ file, role: "follower" });
      expect(follower.read()).toEqual([1, 2, 3]);
      using _next = new JsonMap<Json>({ file, role: "master" });
      expect(await python.read()).toBe("[1, 2, 3]");
    },
  );
});
