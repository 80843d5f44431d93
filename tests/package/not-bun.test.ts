/** Other runtimes are told what is wrong, in one sentence. */
import { afterAll, expect, test } from "bun:test";
import { hasTool } from "../support/tools.ts";
import { run, Workshop } from "./support.ts";

const shop = new Workshop();
afterAll(() => shop[Symbol.dispose]());

test.skipIf(!hasTool("node"))("Node.js is told that this needs Bun (needs node)", () => {
  const dir = shop.project({}, {});
  for (const entry of ["shmstruct", "shmstruct/mmap", "shmstruct/json", "shmstruct/posix"]) {
    const { output } = run(["node", "--input-type=module", "-e", `import ${JSON.stringify(entry)};`], dir);
    expect(output).toContain("shmstruct runs on Bun");
  }
});
