/**
 * Makes, locks and removes the Robot in DIR so many times; prints how often another process was under the lock at once:
 * `life-opener.ts <dir> <rounds>`.
 */
import { mkdirSync, rmdirSync } from "node:fs";
import { FileFormatError, FileMissingError, Manager } from "../../src/index.ts";
import { Robot } from "../record/structs.ts";

const [dir = ".", rounds = "10"] = process.argv.slice(2);
let overlaps = 0;
for (let i = 0; i < Number(rounds); i++) {
  try {
    using manager = new Manager(Robot, { dir, create: true });
    manager.edit(() => {
      try {
        mkdirSync(`${dir}/inside`);
      } catch {
        overlaps++;
        return;
      }
      rmdirSync(`${dir}/inside`);
    });
    manager.remove({ purge: true });
  } catch (error) {
    // Another process has removed it meanwhile.
    if (!(error instanceof FileMissingError || error instanceof FileFormatError)) throw error;
  }
}
console.log(JSON.stringify({ overlaps }));
