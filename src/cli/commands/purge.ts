import { purgeSegments } from "../../segment/purge.ts";
import { type Command, define } from "../command.ts";
import { directoriesOf } from "../listing.ts";
import { escapeText } from "../output.ts";

export const command: Command = define({
  args: "[DIR…]",
  count: [0, 1000],
  details:
    "Lock files and the like of segments that are gone. What a process uses stays, and so does every segment.",
  options: {},
  examples: ["shmstruct purge", "shmstruct purge /run/robot"],
  run(directories, _, out) {
    for (const path of directoriesOf(directories).flatMap(purgeSegments)) {
      if (out.isJson) out.json({ path });
      else out.line(escapeText(path));
    }
    return undefined;
  },
});
