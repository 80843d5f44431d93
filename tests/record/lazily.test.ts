/** What is loaded at the first use only, and is not there by then. */
import { expect, test } from "bun:test";
import { join } from "node:path";
import { readableCopy } from "../support/readable-copy.ts";
import { TempDir } from "./support.ts";

const SRC = join(import.meta.dir, "../../src");

test("with the library's files gone an error of the library says so, and a later call tries again", () => {
  using temp = new TempDir();
  using copy = readableCopy();
  const program = `
    import { renameSync } from "node:fs";
    const { c_int32, field, Manager, MmapStructure } = await import(${JSON.stringify(copy.of(join(SRC, "index.ts")))});
    class Robot extends MmapStructure {}
    field(c_int32)(Robot.prototype, "n");
    const open = () => new Manager(Robot, { dir: ${JSON.stringify(temp.dir)}, create: true });
    const [there, away] = [${JSON.stringify(copy.of(join(SRC, "record")))}, ${JSON.stringify(copy.of(join(SRC, "away")))}];
    renameSync(there, away);
    try { open(); } catch (error) { console.log(error.name, error.code); }
    renameSync(away, there);
    using manager = open();
    console.log(manager.get("n"));
  `;
  const { stdout, stderr } = Bun.spawnSync([process.execPath, "-e", program], { cwd: temp.dir });
  expect([stdout.toString(), stderr.toString()]).toEqual(["ShmError NOT_LOADED\n0\n", ""]);
});

test("a part whose loading a full stack would interrupt is not begun, and comes with a later call", () => {
  using temp = new TempDir();
  using copy = readableCopy();
  const program = `
    const { c_int32, field, Manager, MmapStructure, Reader } = await import(${JSON.stringify(copy.of(join(SRC, "index.ts")))});
    class Robot extends MmapStructure {}
    field(c_int32)(Robot.prototype, "n");
    using manager = new Manager(Robot, { dir: ${JSON.stringify(temp.dir)}, create: true });
    using reader = new Reader(Robot, { dir: ${JSON.stringify(temp.dir)} });
    const others = new Set();
    let [tries, overflows] = [0, 0];
    // At every depth from the edge of the stack on, until the stack has room.
    const dive = () => {
      try {
        dive();
      } catch (error) {
        if (tries++ < 4000)
          try {
            reader.waitForChange({ timeoutMs: 0 });
          } catch (inner) {
            if (inner instanceof RangeError) overflows++;
            else others.add(inner);
          }
        throw error;
      }
    };
    try { dive(); } catch {}
    manager.set("n", 1);
    console.log(overflows > 0, others.size, reader.waitForChange({ timeoutMs: 60_000 }));
  `;
  const { stdout, stderr } = Bun.spawnSync([process.execPath, "-e", program], { cwd: temp.dir });
  expect([stdout.toString(), stderr.toString()]).toEqual(["true 0 true\n", ""]);
});
