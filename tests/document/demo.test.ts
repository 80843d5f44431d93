import { expect, setDefaultTimeout, test } from "bun:test";
import { existsSync } from "node:fs";
import { join } from "node:path";
import { linesOf } from "../support/tools.ts";

// Children, threads and long loops take their time on a busy machine.
setDefaultTimeout(60_000);

const start = () =>
  Bun.spawn([process.execPath, join(import.meta.dir, "../../demo/json-config.ts")], { stdout: "pipe" });

/** All lines, and what is done at the first that `when` is in. */
async function linesOfDemo(demo: ReturnType<typeof start>, when = "", then = () => {}): Promise<string[]> {
  const lines: string[] = [];
  for await (const line of linesOf(demo.stdout)) {
    lines.push(line);
    if (when !== "" && line.includes(when) && lines.filter((one) => one.includes(when)).length === 1) then();
  }
  return lines;
}

test("every follower applies the last configuration, then all end by themselves", async () => {
  const demo = start();
  const lines = await linesOfDemo(demo);
  expect(await demo.exited).toBe(0);
  for (const name of ["arm", "base", "camera"]) {
    expect(lines).toContain(`  ${name} applies version 5: speed 3, load 10, "change 4"`);
    expect(lines).toContain(`  ${name} ends`);
  }
  expect(lines.at(-1)).toBe("the master ends");
}, 60_000);

test("Ctrl-C ends all of them, and nothing is left behind", async () => {
  const demo = start();
  const lines = await linesOfDemo(demo, "version 2", () => demo.kill("SIGINT"));
  expect(await demo.exited).toBe(0);
  expect(lines.filter((line) => line.endsWith(" ends"))).toHaveLength(4);
  expect(existsSync(lines[0]!.replace("the master shares ", ""))).toBeFalse();
}, 60_000);
