/**
 * Many messages of three sizes, each checked: bun tests/soak/channel-messages.ts [COUNT]. COUNT is published per size (default
 * 10^8; a ten thousandth of it for 6 MiB). The control counts what a reader without the second look at the slot would have torn:
 * it must not be 0.
 */
import { closeSync, ftruncateSync, openSync } from "node:fs";
import { initRing, RingReader, RingWriter, ringBytes } from "../../src/channel/ring.ts";
import { planSlots } from "../../src/segment/slot-geometry.ts";
import { fillMessage, isMessage, wordsOf } from "../channel/kills.ts";

const [count = "100000000", role, path, size] = process.argv.slice(2);

const open = (file: string) => Bun.mmap(file, { shared: true });
const geometryOf = (bytes: number) => planSlots(bytes > 1e6 ? 4 : 256, bytes, 2 ** 20);

if (role === "publish") {
  const writer = new RingWriter(open(path!), geometryOf(Number(size)));
  writer.takeOver(process.pid);
  for (let i = 0; i < Number(count); i++) {
    fillMessage(wordsOf(writer.payload(writer.loan())), writer.index);
    writer.send(writer.payloadBytes, 0);
  }
  process.exit(0);
}

interface Counts {
  received: number;
  torn: number;
  /** Torn for a reader without the second look. */
  control: number;
}

/** Copies the next message and looks at the copy before and after the second look at the slot. False: without one. */
function receive(reader: RingReader, words: Uint32Array, counts: Counts): boolean {
  const slot = reader.find();
  if (slot < 0) return false;
  const { cursor } = reader;
  new Uint8Array(words.buffer).set(reader.part(slot));
  const isWhole = isMessage(words, cursor);
  if (!isWhole) counts.control++;
  if (!reader.finish(slot)) return true;
  counts.received++;
  if (!isWhole) counts.torn++;
  return true;
}

let isWrong = false;
for (const [bytes, messages] of [
  [64, Number(count)],
  [4096, Number(count)],
  [6 << 20, Number(count) / 10_000],
] as const) {
  const file = `/dev/shm/shmstruct-soak-${process.pid}`;
  const geometry = geometryOf(bytes);
  const fd = openSync(file, "w+");
  ftruncateSync(fd, ringBytes(geometry));
  closeSync(fd);
  const memory = open(file);
  initRing(memory, geometry);
  const reader = new RingReader(memory, geometry, "next");
  const child = Bun.spawn([
    process.execPath,
    import.meta.path,
    String(messages),
    "publish",
    file,
    String(bytes),
  ]);
  const words = wordsOf(new Uint8Array(bytes));
  const result = { bytes, messages, received: 0, missed: 0, torn: 0, control: 0 };
  const start = performance.now();
  for (let idle = 0; result.received + reader.missed < messages && idle < 1e9; idle++) {
    if (receive(reader, words, result)) idle = 0;
  }
  await child.exited;
  while (receive(reader, words, result));
  result.missed = reader.missed;
  isWrong ||= result.torn > 0 || result.control === 0 || result.received + result.missed !== messages;
  console.log(JSON.stringify({ ...result, seconds: Math.round((performance.now() - start) / 1000) }));
  await Bun.file(file).delete();
}
process.exit(isWrong ? 1 : 0);
