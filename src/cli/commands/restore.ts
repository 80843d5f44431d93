import { FileFormatError } from "../../errors/errors.ts";
import { type Command, define, TIMEOUT, TRUST } from "../command.ts";
import { describeFile, openOptions, pathOf, roomOf } from "../open.ts";
import { escapeText } from "../output.ts";

export const command: Command = define({
  args: "BACKUP FILE",
  count: [2, 2],
  details:
    "Puts the content of a backup in the place of FILE in one step, under the writer lock; its users move over.\nFILE is made if it is missing. The publisher of a channel has to end first.",
  options: { ...TIMEOUT, ...TRUST },
  examples: ["shmstruct restore /backups/robot Robot", "shmstruct restore old.backup ./.mmap/Robot_.mmap"],
  run([backup = "", file = ""], values, out) {
    const { path: from, kind, room } = roomOf(backup);
    if (describeFile(from).state !== "backup")
      throw new FileFormatError(from, `'${from}' is no backup: shmstruct backup makes one`);
    const path = pathOf(file);
    room.restore(from, path, openOptions(values));
    if (out.isJson) out.json({ path, kind });
    else out.line(`${kind} restored to ${escapeText(path)}`);
    return undefined;
  },
});
