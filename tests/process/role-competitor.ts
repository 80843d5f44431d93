/**
 * A writer that lives: edits again and again until the ledger says stop, so that it is often the one to repair what a
 * killed writer left. `role-competitor.ts <dir> <ledger>`; prints its commits and what it found wrong.
 */
import { Editor } from "../../src/index.ts";
import { RecordContent } from "../../src/record/record-content.ts";
import { LEDGER, openLedger } from "../record/ledger.ts";
import { fillPattern, Pattern, stateOf } from "../record/structs.ts";

const [dir = ".", ledgerPath = ""] = process.argv.slice(2);
const ledger = openLedger(ledgerPath);
using editor = new Editor(Pattern, { dir });
const account = { commits: 0, repairs: 0, torn: 0, miscounted: 0 };

const { repair } = RecordContent.prototype;
RecordContent.prototype.repair = function () {
  if (this.file.sequence % 2 !== 0) account.repairs += 1;
  if (process.env.WITHOUT_REPAIR === undefined) repair.call(this);
};

function edit(): void {
  editor.edit(
    (data) => {
      const count = stateOf(data);
      if (count === undefined) account.torn += 1;
      if (count !== editor.version) account.miscounted += 1;
      fillPattern(data, (count ?? 0) + 1);
    },
    { timeoutMs: 60_000 },
  );
  account.commits += 1;
}

Atomics.add(ledger, LEDGER.started, 1);
while (Atomics.load(ledger, LEDGER.stop) === 0) {
  edit();
  await Bun.sleep(Math.random() * 2);
}
console.log(JSON.stringify(account));
