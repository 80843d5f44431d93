import { expect, setDefaultTimeout, test } from "bun:test";
import { existsSync } from "node:fs";
import { join } from "node:path";
import { JsonMap } from "../../src/document/index.ts";
import { temporaryDirectory } from "../support/temporary.ts";
import { linesOf } from "../support/tools.ts";

// Children, threads and long loops take their time on a busy machine.
setDefaultTimeout(240_000);

const program = join(import.meta.dir, "../../demo/json-config.ts");
const start = () => Bun.spawn([process.execPath, program], { stdout: "pipe" });

const follower = (file: string, name: string) =>
  Bun.spawn([process.execPath, program, "follower", file, name], { stdin: "pipe", stdout: "pipe" });

/** All lines, and what is done at the first that `when` is in. */
async function linesOfDemo(demo: ReturnType<typeof start>, when = "", then = () => {}): Promise<string[]> {
  const lines: string[] = [];
  for await (const line of linesOf(demo.stdout)) {
    lines.push(line);
    if (when !== "" && line.includes(when) && lines.filter((one) => one.includes(when)).length === 1) then();
  }
  return lines;
}

test("in the demo every follower applies the last configuration, then all end by themselves", async () => {
  const demo = start();
  const lines = await linesOfDemo(demo);
  expect(await demo.exited).toBe(0);
  for (const name of ["arm", "base", "camera"]) {
    expect(lines).toContain(`  ${name} applies revision 5: speed 3, load 10, "change 4"`);
    expect(lines).toContain(`  ${name} ends`);
  }
  expect(lines.at(-1)).toBe("the master ends");
}, 240_000);

test("a follower of the demo that starts when all is over ends by itself, and so does one whose master died", async () => {
  using temp = temporaryDirectory();
  const file = join(temp.path, "config.json.mmap");
  using config = new JsonMap({ file, role: "master", maxBytes: 4096 });
  config.write({ revision: 1, limits: { speed: 1, load: 1 }, message: "", running: false });
  const late = [1, 2, 3].map((n) => follower(file, `late ${n}`));
  for (const { exited } of late) expect(await exited).toBe(0);
  config.write({ revision: 2, limits: { speed: 1, load: 1 }, message: "", running: true });
  const orphan = follower(file, "orphan");
  expect((await linesOf(orphan.stdout).next()).value).toContain("orphan applies revision 2");
  orphan.stdin.end();
  expect(await orphan.exited).toBe(0);
}, 240_000);

test("Ctrl-C ends all programs of the demo, and nothing is left behind", async () => {
  const demo = start();
  const lines = await linesOfDemo(demo, "revision 2", () => demo.kill("SIGINT"));
  expect(await demo.exited).toBe(0);
  expect(lines.filter((line) => line.endsWith(" ends"))).toHaveLength(4);
  expect(existsSync(lines[0]!.replace("the master shares ", ""))).toBeFalse();
}, 240_000);
