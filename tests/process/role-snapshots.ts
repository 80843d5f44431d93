/**
 * One of the processes of the snapshot test:
 *
 *     write <dir> <words> <ledger> [die]    edits until the ledger says stop; with "die" it dies in the middle of an edit
 *     read <dir> <words> <reads> <how>      copies, and prints how many copies were torn or older than the one before;
 *                                           at a torn one it ends when UNTIL_TORN is set
 *
 * `how` is "snapshot", the library's, or this file's own copy of the protocol: "protocol" as it should be, and with a
 * fault: "no-recheck", "no-barrier", "no-parity" (the live struct, whether a writer is at work or not).
 */
import { fstatSync } from "node:fs";
import { Editor, Reader } from "../../src/index.ts";
import { RecordContent } from "../../src/record/record-content.ts";
import { wordIndices } from "../../src/segment/footer.ts";
import { barrier } from "../../src/struct/memory/barrier.ts";
import { openFile } from "../../src/sys/file.ts";
import { Mapping } from "../../src/sys/mapping.ts";
import { LEDGER, openLedger } from "../record/ledger.ts";
import { fillSized, isTorn, sizedClass } from "../record/sized.ts";

const [job, dir = ".", wordsText = "1", ...rest] = process.argv.slice(2);
const words = Number(wordsText);
const cls = sizedClass(words);

// A control: a writer that trusts the parity it finds turns it around for good once one was killed.
if (process.env.WITHOUT_REPAIR !== undefined) RecordContent.prototype.repair = () => {};

function write(ledgerPath = "", die?: string): void {
  const ledger = openLedger(ledgerPath);
  using editor = new Editor(cls, { dir, touch: false });
  Atomics.add(ledger, LEDGER.started, 1);
  while (Atomics.load(ledger, LEDGER.stop) === 0) {
    editor.edit((data) => {
      fillSized(data.words, ((data.words[0] as number) + 1) | 0);
      if (die !== undefined) process.kill(process.pid, "SIGKILL");
    });
  }
}

/** Copies the words, again and again, and gives each copy to `look`, until that returns false. */
type Copier = (reads: number, look: (words: ArrayLike<number>, turn: number) => boolean) => void;

const bySnapshot: Copier = (reads, look) => {
  using reader = new Reader(cls, { dir });
  for (let turn = 0; turn < reads && look(reader.snapshot().words, turn); turn++);
};

/** The protocol in plain words, to leave parts of it out. */
function byHand(fault: string): Copier {
  const path = `${dir}/Sized${words}_.mmap`;
  const fd = openFile(path, 0);
  const { size } = fstatSync(fd);
  const { buffer } = Mapping.map(fd, { byteLength: size, access: "read", path });
  const all = new Int32Array(buffer);
  const { sequence } = wordIndices(size);
  const structBytes = Math.ceil((16 + words * 4) / 8) * 8;
  const live = new Int32Array(buffer, 16, words);
  const preImage = new Int32Array(buffer, structBytes + 16, words);
  const copy: number[] = Array(words).fill(0);
  const fence = fault === "no-barrier" ? () => {} : barrier;
  return (reads, look) => {
    for (let turn = 0; turn < reads; ) {
      fence();
      const before = all[sequence] as number;
      const source = (before & 1) === 0 || fault === "no-parity" ? live : preImage;
      for (let i = 0; i < words; i++) copy[i] = source[i] as number;
      fence();
      if (all[sequence] !== before && fault !== "no-recheck") continue;
      if (!look(copy, turn++)) return;
    }
  };
}

function read(reads: number, how: string): void {
  const seen = { reads, torn: 0, older: 0, states: 0 };
  let last = 0;
  const copier = how === "snapshot" ? bySnapshot : byHand(how);
  copier(reads, (copy, turn) => {
    if (isTorn(copy, turn)) seen.torn += 1;
    // Commits wrap around in 32 bits.
    const ahead = ((copy[0] as number) - last) | 0;
    if (ahead < 0) seen.older += 1;
    if (ahead > 0) seen.states += 1;
    last = copy[0] as number;
    return seen.torn === 0 || process.env.UNTIL_TORN === undefined;
  });
  console.log(JSON.stringify(seen));
}

if (job === "write") write(...rest);
else read(Number(rest[0]), rest[1] ?? "snapshot");
