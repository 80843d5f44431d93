/**
 * A program of the migration trial, old or new: `life-writer.ts <dir> <ledger> <what>`. A "writer" increments through
 * `edit` until the ledger says stop, going over to the other class when its own no longer fits; a "reader" looks locked and
 * lock-free that no struct is zero and no version goes back. Prints what it did.
 */
import { Editor, FileFormatError, LayoutMismatchError, Reader } from "../../src/index.ts";
import { LEDGER, openLedger } from "../record/ledger.ts";
import { UnitNew, UnitOld } from "../record/life-structs.ts";

const [dir = ".", ledgerPath = "", what = "writer"] = process.argv.slice(2);
const ledger = openLedger(ledgerPath);
const classes = [UnitOld, UnitNew] as const;
const account = { increments: 0, moves: 0, zeros: 0, torn: 0, older: 0, looks: 0 };
const isStopped = (): boolean => Atomics.load(ledger, LEDGER.stop) !== 0;

/** Runs `work` again and again with whichever class fits the file. */
function follow<R extends Disposable>(open: (cls: typeof UnitOld) => R, work: (role: R) => void): void {
  for (let turn = 0; !isStopped(); turn++) {
    try {
      using role = open(classes[turn % 2] as typeof UnitOld);
      while (!isStopped()) work(role);
    } catch (error) {
      if (!(error instanceof LayoutMismatchError || error instanceof FileFormatError)) throw error;
      account.moves++;
    }
  }
}

let last = -1;

function look({ count, twin, marker }: Pick<UnitOld, "count" | "twin" | "marker">, version: number): void {
  account.looks++;
  if (marker === 0) account.zeros++;
  if (count !== twin) account.torn++;
  if (version < last) account.older++;
  last = version;
}

Atomics.add(ledger, LEDGER.started, 1);
if (what === "writer") {
  follow(
    (cls) => new Editor(cls, { dir }),
    (editor) => {
      editor.edit((data) => {
        data.count += 1;
        data.twin += 1;
      });
      account.increments++;
    },
  );
} else {
  follow(
    (cls) => new Reader(cls, { dir }),
    (reader) => {
      const { version } = reader;
      look(reader.snapshot(), version);
      reader.read((data) => look(data, reader.version));
    },
  );
}
console.log(JSON.stringify(account));
