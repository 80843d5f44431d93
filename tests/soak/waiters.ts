/**
 * What a waiter that does not run costs those that do: edits of one process alone, and while others wait for the lock that are
 * busy in their event loop, or stopped. The first lock after the waiter came is counted apart: it is the one that finds out.
 *
 *     bun tests/soak/waiters.ts [rounds = 5]
 */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { c_int32, Editor, field, Manager, MmapStructure } from "../../src/index.ts";

class Counter extends MmapStructure {
  @field(c_int32) n!: number;
}

const KINDS = {
  "one that is busy in its event loop": ["busy"],
  "one that is stopped": ["stopped"],
  "two that are stopped": ["stopped", "stopped"],
} as const;
const MEASURED_MS = 400;

const [role = "5", dir = ""] = process.argv.slice(2);
if (role === "busy") await waitBusily();
else if (role === "stopped") waitToBeStopped();
else await main(Number(role));

/** Asks for the lock, and then gives its event loop no turn. */
async function waitBusily(): Promise<void> {
  const editor = new Editor(Counter, { dir });
  void editor.lockAsync().then((session) => session.release());
  await Bun.sleep(50);
  console.log("waiting");
  for (;;);
}

function waitToBeStopped(): void {
  const editor = new Editor(Counter, { dir });
  console.log("waiting");
  editor.lock().release();
}

/** Edits a second, and how long the first one took. */
function rate(manager: Manager<Counter>): { rate: number; firstMs: number } {
  const edit = (): void => manager.edit((data) => void data.n++);
  const start = performance.now();
  edit();
  const second = performance.now();
  let count = 0;
  for (; performance.now() - second < MEASURED_MS; count++) edit();
  return { rate: count / (performance.now() - second), firstMs: second - start };
}

async function rateBeside(manager: Manager<Counter>, path: string, waiters: readonly string[]) {
  const session = manager.lock();
  const children = waiters.map((waiter) =>
    Bun.spawn([process.execPath, import.meta.path, waiter, path], { stdout: "pipe" }),
  );
  for (const { stdout } of children) await stdout.getReader().read();
  // Both are in line by then.
  await Bun.sleep(100);
  for (const [i, child] of children.entries()) if (waiters[i] === "stopped") child.kill("SIGSTOP");
  session.release();
  const measured = rate(manager);
  for (const child of children) child.kill("SIGKILL");
  await Promise.all(children.map(({ exited }) => exited));
  return measured;
}

function median(numbers: readonly number[]): number {
  return numbers.toSorted((a, b) => a - b)[numbers.length >> 1] as number;
}

async function main(rounds: number): Promise<void> {
  const path = mkdtempSync(join(tmpdir(), "shmstruct-waiters-"));
  try {
    using manager = new Manager(Counter, { dir: path, create: true });
    rate(manager);
    for (const [kind, waiters] of Object.entries(KINDS)) {
      const ratios: number[] = [];
      const firsts: number[] = [];
      for (let round = 0; round < rounds; round++) {
        const before = rate(manager).rate;
        const beside = await rateBeside(manager, path, waiters);
        const after = rate(manager).rate;
        ratios.push((2 * beside.rate) / (before + after));
        firsts.push(beside.firstMs);
      }
      const percent = (median(ratios) * 100).toFixed(0);
      console.log(`${kind}: ${percent} % of the rate alone, the first lock ${median(firsts).toFixed(1)} ms`);
    }
  } finally {
    rmSync(path, { recursive: true, force: true });
  }
}
