/** Edits the ledger until it is killed: `bun writer.ts DIR`. */
import { Editor } from "../../src/index.ts";
import { Ledger } from "./shared.ts";

using editor = new Editor(Ledger, { dir: process.argv[2] });
for (let i = 0; ; i++) {
  editor.edit((data) => {
    data.hits.add(1);
    const count = data.count + 1n;
    data.count = count;
    for (let k = 0; k < data.values.length; k++) data.values[k] = count;
  });
  if (i === 0) console.log("ready");
}
