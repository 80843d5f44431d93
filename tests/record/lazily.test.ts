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
