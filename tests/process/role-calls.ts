/**
 * Calls every method of a Reader, and every accessor of its read-only views, `rounds` times each, so that all of it
 * is compiled: `role-calls.ts <dir> <rounds> [with-atomics]`. A stray store to the read-only map would end the process
 * with SIGSEGV, and so does Atomics.load once it is compiled: `with-atomics` shows that compiled code is what dies.
 */
import { Reader, toObject } from "../../src/index.ts";
import { openFile } from "../../src/sys/file.ts";
import { Mapping } from "../../src/sys/mapping.ts";
import { Robot } from "../record/structs.ts";

const [dir = ".", roundsText = "1000", fault] = process.argv.slice(2);
const rounds = Number(roundsText);
using reader = new Reader(Robot, { dir, lockDir: dir });
type Data = Parameters<Parameters<typeof reader.read>[0]>[0];

const paths = [
  "count",
  "serial",
  "name",
  "cells.1",
  "pose.x",
  "path.2.y",
  "hits",
  "header.time_stamp",
] as const;
let sum = 0;

function look(data: Data): void {
  sum += data.count + data.twin + Number(data.serial) + data.name.length + data.pose.x + data.pose.norm();
  sum += (data.cells.at(2) ?? 0) + data.cells.length + data.path.at(1).y + data.path.length;
  sum += data.hits.load() + data.header.header_code + data.header.time_stamp;
}

/** What no method may do: asks for the words of a read-only map with Atomics. */
function lookWithAtomics(): void {
  using mapping = Mapping.map(openFile(reader.path, 0), {
    byteLength: 64,
    access: "read",
    path: reader.path,
  });
  const words = new Int32Array(mapping.buffer);
  // It dies when the compiler's thread is done, which a busy machine puts off.
  const end = performance.now() + 20_000;
  while (performance.now() < end) {
    repeat(rounds, (turn) => {
      sum += Atomics.load(words, turn % 16);
    });
  }
}

/** What is too slow to be called a million times within a test. */
function lookClosely(data: Data): void {
  for (const cell of data.cells) sum += cell;
  for (const point of data.path) sum += point.x;
  sum += (data.cells[1] ?? 0) + (data.path[2]?.x ?? 0);
  sum += JSON.stringify(data).length + Bun.inspect(data).length + Object.keys(toObject(data as never)).length;
  const writable = data as unknown as Robot;
  refused(() => {
    writable.count = 1;
  });
  refused(() => writable.hits.add(1));
  refused(() => {
    writable.cells[0] = 1;
  });
  refused(() => writable.cells.set([1]));
  refused(() => Object.assign(writable.path.at(0), { x: 1 }));
}

function refused(store: () => unknown): void {
  try {
    store();
  } catch (error) {
    if (error instanceof TypeError) return;
    throw error;
  }
  throw new Error("a Reader could write");
}

function repeat(times: number, call: (turn: number) => void): void {
  for (let turn = 0; turn < times; turn++) call(turn);
}

if (fault === "with-atomics") lookWithAtomics();
repeat(rounds, () => look(reader.live));
repeat(rounds, () => look(reader.snapshot() as unknown as Data));
repeat(rounds, () => reader.read(look));
repeat(rounds, (turn) => {
  sum += String(reader.get(paths[turn % paths.length] ?? "count")).length;
});
repeat(rounds, () => {
  sum += reader.version + Number(reader.lastUpdate ?? 0) + reader.path.length + Number(reader.closed);
});
repeat(rounds, () => {
  using session = reader.lock();
  look(session.data);
  sum += session.get("count") + Number(session.released);
});
repeat(rounds, () => reader.tryLock()?.release());
repeat(rounds, () => reader.waitForChange({ timeoutMs: 0 }));
repeat(rounds / 50, () => lookClosely(reader.live));
repeat(rounds / 50, () => reader.read(lookClosely));
for (let turn = 0; turn < rounds; turn++) {
  const session = await reader.lockAsync();
  look(session.data);
  session.release();
}
console.log(Number.isFinite(sum) ? "alive" : sum);
