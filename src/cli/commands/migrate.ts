import { MigrationError } from "../../errors/errors.ts";
import { type Command, define, TIMEOUT, TRUST, UsageError } from "../command.ts";
import { openOptions, roomOf } from "../open.ts";
import { escapeText } from "../output.ts";
import { loadClass } from "../source.ts";

export const command: Command = define({
  args: "FILE MODULE#Class",
  count: [2, 2],
  details:
    "Gives a record the struct of a class: every field of the same path is carried over, under the writer lock. What would be\nlost is listed, and nothing is done (exit code 1), unless --lossy is given.",
  options: {
    lossy: { type: "boolean", help: "drop what the new struct has no place for" },
    ...TIMEOUT,
    ...TRUST,
  },
  examples: ["shmstruct migrate Robot ./structs.ts#RobotV2"],
  async run([file = "", source = ""], { lossy, ...values }, out) {
    if (!source.includes("#")) throw new UsageError("the new struct is given as MODULE#Class");
    const { path, kind, room } = roomOf(file);
    if (room.migrate === undefined)
      throw new UsageError(`'${escapeText(path)}' is a ${kind}, which is not migrated`);
    const cls = await loadClass(source);
    const isMigrated = inWordsOfTheCommand(() =>
      room.migrate?.(path, cls, { ...openOptions(values), isLossy: lossy === true }),
    );
    if (out.isJson) out.json({ path, isMigrated });
    else out.line(isMigrated ? "migrated" : "it has that struct already");
    return undefined;
  },
});

/** A program gives a function for what would be lost, which is the last line of the message; here an option drops it. */
function inWordsOfTheCommand<T>(migrate: () => T): T {
  try {
    return migrate();
  } catch (error) {
    if (!(error instanceof MigrationError)) throw error;
    const { path, losses, message } = error;
    const list = message.slice(0, message.lastIndexOf("\n"));
    throw new MigrationError(
      path,
      losses,
      `${list}\n--lossy drops these fields; a program keeps what is in them: new Manager(…, { create: true, migrate: (data, old) => … })`,
    );
  }
}
