/**
 * Wakes that are lost: a process takes the one wake that a commit's writer gives, and dies or stops before it hands it on. How long
 * until all others have seen the commit? They wait in this library, in C and in Python. Needs gcc and python3.
 *
 *   bun tests/soak/hand-on.ts [rounds] [waiters of each language] [bun|c|python]
 */
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { c_int32, Editor, field, Manager, MmapStructure, Reader } from "../../src/index.ts";
import { monotonicMs } from "../../src/sys/clock.ts";
import { openFile } from "../../src/sys/file.ts";
import { futexWakeOf } from "../../src/sys/libc/futex.ts";
import { Mapping } from "../../src/sys/mapping.ts";

class Counter extends MmapStructure {
  @field(c_int32) count!: number;
}

const interop = join(import.meta.dirname, "../../interop");
const CHANGES = 32;
/** Wakes those that sleep for any wake: not the watcher, and not the thief below. */
const OF_ALL = 16;

/** Waits, and prints what it sees and when, in milliseconds of CLOCK_MONOTONIC. */
function follow(dir: string): void {
  const reader = new Reader(Counter, { dir });
  console.log("ready");
  for (;;) {
    reader.waitForChange();
    console.log(reader.snapshot("count"), monotonicMs());
  }
}

const C_SOURCE = `
#define _GNU_SOURCE
#include "shmstruct.h"
#include <stdio.h>
#include <signal.h>
typedef struct { char header[16]; int32_t count; int32_t pad; } Counter;
static double now_ms(void) { struct timespec t; clock_gettime(CLOCK_MONOTONIC, &t); return t.tv_sec * 1e3 + t.tv_nsec / 1e6; }
int main(int argc, char **argv) {
  if (argc > 3) { /* takes one wake and goes: page, "die" or "stop" */
    int fd = open(argv[2], O_RDWR);
    uint32_t *words = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    uint32_t seen = words[${CHANGES}];
    puts("ready"); fflush(stdout);
    shms_i_futex_wait_as(words + ${CHANGES}, seen, INT64_MAX, 1);
    if (strcmp(argv[3], "stop") == 0) raise(SIGSTOP);
    _exit(0);
  }
  shms_place place; shms_segment file; uint64_t version; Counter copy;
  if (shms_place_of(&place, argv[1], "Counter", "", SHMS_RECORD) || shms_open(&file, &place, SHMS_WRITE, SHMS_RECORD, sizeof copy, 0)) return 1;
  shms_version(&file, &version);
  puts("ready"); fflush(stdout);
  while (!shms_wait_for_change(&file, version, -1, &version)) {
    shms_snapshot(&file, &copy, sizeof copy, NULL, -1);
    printf("%d %f\\n", copy.count, now_ms()); fflush(stdout);
  }
  return 1;
}`;

const PYTHON_SOURCE = `
import sys, time
sys.path.insert(0, sys.argv[2])
from shmstruct import Editor
reader = Editor("Counter", dir=sys.argv[1])
print("ready", flush=True)
while True:
    reader.wait_for_change()
    print(reader.snapshot().count, time.monotonic() * 1000, flush=True)
`;

class Other {
  /** By count: when it was seen. */
  readonly seen = new Map<number, number>();
  readonly child;
  last = 0;
  isReady = false;
  #output = "";

  constructor(command: string[]) {
    this.child = Bun.spawn(command, { stdout: "pipe", stderr: "inherit" });
    void this.#read();
  }

  async #read(): Promise<void> {
    for await (const chunk of this.child.stdout) {
      const lines = (this.#output + Buffer.from(chunk).toString()).split("\n");
      this.#output = lines.pop()!;
      for (const line of lines) {
        if (line === "ready") this.isReady = true;
        else this.#note(line);
      }
    }
  }

  #note(line: string): void {
    const [count = Number.NaN, time = Number.NaN] = line.split(" ").map(Number);
    this.last = count;
    this.seen.set(count, time);
  }
}

async function until(condition: () => boolean): Promise<void> {
  for (const end = monotonicMs() + 120_000; !condition(); ) {
    if (monotonicMs() > end) throw new Error("waited in vain");
    await Bun.sleep(1);
  }
}

const quantile = (sorted: readonly number[], part: number): string =>
  (sorted[Math.min(sorted.length - 1, Math.floor(part * sorted.length))] ?? Number.NaN).toFixed(2);

async function main(rounds: number, each: number, only: string | undefined): Promise<void> {
  const dir = mkdtempSync(join(tmpdir(), "hand-on-"));
  const others: Other[] = [];
  try {
    using _manager = new Manager(Counter, { dir, create: true });
    using editor = new Editor(Counter, { dir });
    const page = join(dir, "Counter_.lock-page");
    using mapping = Mapping.map(openFile(page, 2), { byteLength: 4096, path: page });
    const words = new Int32Array(mapping.buffer);
    const program = join(dir, "follow");
    writeFileSync(`${program}.c`, C_SOURCE);
    writeFileSync(`${program}.py`, PYTHON_SOURCE);
    const gcc = Bun.spawnSync([
      "gcc",
      "-O2",
      `-I${join(interop, "c")}`,
      "-pthread",
      "-o",
      program,
      `${program}.c`,
    ]);
    if (gcc.exitCode !== 0) throw new Error(gcc.stderr.toString());
    const commands = {
      bun: [process.execPath, import.meta.filename, "follow", dir],
      c: [program, dir],
      python: ["python3", `${program}.py`, dir, join(interop, "python")],
    };
    for (const [name, command] of Object.entries(commands))
      for (let i = 0; i < each && (only ?? name) === name; i++) others.push(new Other(command));
    await until(() => others.every(({ isReady }) => isReady));
    let count = 0;
    const took: Record<string, number[]> = { "no wake is lost": [], die: [], stop: [] };
    for (let round = 0; round < rounds; round++)
      for (const [fate, delays] of Object.entries(took)) {
        await Bun.sleep(5 + 30 * Math.random());
        const thief = fate in { die: 1, stop: 1 } ? new Other([program, dir, page, fate]) : undefined;
        if (thief !== undefined) {
          await until(() => thief.isReady);
          await Bun.sleep(2);
          // All others sleep anew, behind the thief.
          futexWakeOf(words, CHANGES, 1000, OF_ALL);
          await Bun.sleep(3);
        }
        count++;
        const start = monotonicMs();
        editor.edit((data) => {
          data.count = count;
        });
        await until(() => others.every(({ last }) => last >= count));
        delays.push(Math.max(...others.map(({ seen }) => (seen.get(count) ?? 0) - start)));
        if (thief === undefined) continue;
        thief.child.kill("SIGKILL");
        await thief.child.exited;
      }
    for (const [fate, delays] of Object.entries(took)) {
      const sorted = delays.toSorted((a, b) => a - b);
      console.log(
        `${fate}: until the last of ${others.length} has seen the commit: median ${quantile(sorted, 0.5)} ms, p99 ${quantile(sorted, 0.99)} ms, most ${quantile(sorted, 1)} ms`,
      );
    }
  } finally {
    for (const { child } of others) child.kill("SIGKILL");
    rmSync(dir, { recursive: true });
  }
}

const [first, second, third] = process.argv.slice(2);
if (first === "follow") follow(second!);
else await main(Number(first ?? 100), Number(second ?? 5), third);
