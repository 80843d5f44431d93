/**
 * The other process of the struct tests: `bun struct-peer.ts <file> <what> [argument]`. Maps the file and does one
 * thing to the `Shared` struct in it.
 */
import "../../src/sys/futex-backend.ts";
import { viewOf } from "../../src/struct/index.ts";
import { openFile } from "../../src/sys/file.ts";
import { O_RDWR } from "../../src/sys/libc/constants.ts";
import { Mapping } from "../../src/sys/mapping.ts";
import { Shared } from "./struct-shared.ts";

const [path = "", what, argument] = process.argv.slice(2);
using mapping = Mapping.map(openFile(path, O_RDWR), { byteLength: 4096, path });
const shared = viewOf(Shared, mapping.buffer);

/** Both sides at once. */
function meet(): void {
  shared.ready.add(1);
  while (shared.ready.load() < 2);
}

const jobs: Record<string, () => void | Promise<void>> = {
  add() {
    meet();
    const { counter, wideCounter } = shared;
    for (let i = 0; i < Number(argument); i++) counter.add(1);
    for (let i = 0; i < 100_000; i++) wideCounter.sub(1n);
  },
  async notify() {
    for (let woken = 0; woken === 0; await Bun.sleep(5)) {
      if (shared.counter.load() === 0 && shared.ready.load() === 1) {
        shared.counter.store(1);
        woken = shared.counter.notify();
        if (woken === 0) return;
      }
    }
  },
  /** Sleeps until the other process has stored something else, then answers. */
  wait() {
    shared.ready.store(1);
    while (shared.counter.load() === 0) shared.counter.wait(0, { timeoutMs: 10_000 });
    shared.wideCounter.store(BigInt(shared.counter.load()));
  },
};
await jobs[what ?? ""]?.();
