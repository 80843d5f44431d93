import { type Command, define, TIMEOUT, TRUST } from "../command.ts";
import { openOptions, removerOf } from "../open.ts";
import { escapeText } from "../output.ts";

export const command: Command = define({
  args: "FILE…",
  count: [1, 1000],
  details:
    "Under the writer lock; programs that have a file open find out at their next lock. Lock files stay for those that\nwait for them, unless --purge is given and no process uses them. Damaged files go, too; what was never a\nsegment stays, and so does an empty file, which may be any program's.",
  options: { purge: { type: "boolean", help: "the files beside it, too" }, ...TIMEOUT, ...TRUST },
  examples: ["shmstruct rm Robot", "shmstruct rm --purge ./.mmap/*.mmap"],
  run(files, { purge, ...values }, out) {
    // All of them are looked at before the first is removed.
    for (const { path, room } of files.map(removerOf)) {
      room.remove(path, openOptions(values));
      for (const gone of [path, ...(purge ? room.purge(path) : [])]) {
        if (out.isJson) out.json({ path: gone });
        else out.line(escapeText(gone));
      }
    }
    return undefined;
  },
});
