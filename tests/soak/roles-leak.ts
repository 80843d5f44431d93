/**
 * Opens and closes roles again and again, and watches descriptors, mappings and memory:
 *
 *     bun tests/soak/roles-leak.ts [rounds = 100000]
 */
import { readdirSync, readFileSync } from "node:fs";
import { Editor, Manager, Reader } from "../../src/index.ts";
import { Robot } from "../record/structs.ts";
import { TempDir } from "../record/support.ts";

const rounds = Number(process.argv[2] ?? 100_000);
using temp = new TempDir();
const { dir } = temp;
using manager = new Manager(Robot, { dir, create: true });

function round(i: number): void {
  using editor = new Editor(Robot, { dir });
  using reader = new Reader(Robot, { dir });
  editor.set("count", i);
  if (reader.get("count") !== i || reader.snapshot().count !== i || reader.live.count !== i)
    throw new Error("lost");
}

function resources() {
  Bun.gc(true);
  return {
    descriptors: readdirSync("/proc/self/fd").length,
    mappings: readFileSync("/proc/self/maps", "utf8").split("\n").length,
    mebibytes: Math.round(process.memoryUsage.rss() / 2 ** 20),
  };
}

for (let i = 0; i < 2000; i++) round(i);
const before = resources();
for (let i = 0; i < rounds; i++) round(i);
const after = resources();
console.log({ rounds, before, after, commits: manager.version });
if (
  after.descriptors > before.descriptors ||
  after.mappings > before.mappings + 50 ||
  after.mebibytes > before.mebibytes + 32
) {
  console.error("something was left behind");
  process.exit(1);
}
