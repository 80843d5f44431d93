/** Reads behind a barrier are made again, however the compiler may shorten the code around them. */
import { afterAll, beforeAll, expect, test } from "bun:test";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { c_int32, field, Struct } from "../../src/index.ts";
import { viewAt } from "../../src/struct/functions.ts";
import { barrier } from "../../src/struct/memory/barrier.ts";
import { FRESH, READ_ONLY, Region } from "../../src/struct/memory/memory.ts";
import { openFile } from "../../src/sys/file.ts";
import { Mapping } from "../../src/sys/mapping.ts";

class Flag extends Struct {
  @field(c_int32) value!: number;
}

const dir = mkdtempSync(join(tmpdir(), "shmstruct-barrier-"));
const path = join(dir, "words");
writeFileSync(path, new Uint8Array(4096));
const mapping = Mapping.map(openFile(path, 0), { byteLength: 4096, access: "read", path });
let writer: Bun.Subprocess<"ignore", "pipe", "inherit">;

beforeAll(async () => {
  const program = join(import.meta.dir, "../process/fresh-writer.ts");
  writer = Bun.spawn([process.execPath, program, path], { stdio: ["ignore", "pipe", "inherit"] });
  for await (const _ of writer.stdout) break;
});
afterAll(async () => {
  writer.kill("SIGKILL");
  await writer.exited;
  mapping.close();
  rmSync(dir, { recursive: true, force: true });
});

/** Takes some 100 ns, so that another process has the time to store. */
function dawdle(seed: number): number {
  let x = seed;
  for (let i = 0; i < 30; i++) x = Math.sqrt(x + i);
  return x;
}

/** How often the second of two reads sees something else than the first, in code that is compiled by then. */
function differences(readTwice: () => boolean): number {
  const count = (rounds: number): number => {
    let different = 0;
    for (let i = 0; i < rounds; i++) if (readTwice()) different += 1;
    return different;
  };
  for (let i = 0; i < 100; i++) count(10_000);
  let different = 0;
  const deadline = performance.now() + 60_000;
  while (different === 0 && performance.now() < deadline) different = count(100_000);
  return different;
}

test("two reads of one word with barrier() before each can see two values", () => {
  const words = new Int32Array(mapping.buffer);
  let sink = 0;
  const readTwice = (): boolean => {
    barrier();
    const first = words[0];
    sink = dawdle(sink);
    barrier();
    return words[0] !== first;
  };
  expect(differences(readTwice)).toBeGreaterThan(0);
}, 240_000);

test("two reads of one member of a fresh view can see two values", () => {
  const view = viewAt(Flag, new Region(mapping.buffer, 0, 4, READ_ONLY | FRESH), 0);
  let sink = 0;
  const readTwice = (): boolean => {
    const first = view.value;
    sink = dawdle(sink);
    return view.value !== first;
  };
  expect(differences(readTwice)).toBeGreaterThan(0);
}, 240_000);

test("a loop that waits for a change of a fresh view ends", () => {
  const view = viewAt(Flag, new Region(mapping.buffer, 0, 4, READ_ONLY | FRESH), 0);
  const turns = (): number => {
    const first = view.value;
    let n = 0;
    while (view.value === first) n += 1;
    return n;
  };
  for (let i = 0; i < 200; i++) turns();
  expect(turns()).toBeGreaterThanOrEqual(0);
}, 240_000);
