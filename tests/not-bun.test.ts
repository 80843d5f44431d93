/** Other runtimes are told what is wrong, in one sentence. */
import { expect, test } from "bun:test";
import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { hasTool } from "./support/tools.ts";

test.skipIf(!hasTool("node"))("Node.js is told that this needs Bun (needs node)", async () => {
  const home = mkdtempSync(join(tmpdir(), "shmstruct-node-"));
  try {
    mkdirSync(join(home, "node_modules"));
    symlinkSync(join(import.meta.dir, ".."), join(home, "node_modules", "shmstruct"));
    for (const entry of ["shmstruct", "shmstruct/mmap", "shmstruct/json", "shmstruct/posix"]) {
      writeFileSync(join(home, "main.mjs"), `import ${JSON.stringify(entry)};`);
      const child = Bun.spawn(["node", "main.mjs"], { cwd: home, stdout: "pipe", stderr: "pipe" });
      const [stderr] = await Promise.all([child.stderr.text(), child.exited]);
      expect(stderr).toContain("shmstruct runs on Bun");
    }
  } finally {
    rmSync(home, { recursive: true, force: true });
  }
});
