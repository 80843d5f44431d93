import { absolutePath } from "../../sys/paths.ts";
import { type Command, define, TIMEOUT, TRUST } from "../command.ts";
import { openInspector } from "../open.ts";
import { escapeText } from "../output.ts";

export const command: Command = define({
  args: "FILE COPY",
  count: [2, 2],
  details:
    "A committed state as a file of its own, written in one step. Writers are not stopped, but of a record without transactions,\nwhose lock is taken. Another backup is replaced.",
  options: { ...TIMEOUT, ...TRUST },
  examples: ["shmstruct backup Robot /backups/robot"],
  run([file = "", copy = ""], values, out) {
    using inspector = openInspector(file, values);
    const path = absolutePath(".", copy);
    const version = inspector.backup(path);
    if (out.isJson) out.json({ path, version });
    else out.line(`version ${version} in ${escapeText(path)}`);
    return undefined;
  },
});
