/** Every command, loaded when it is called. */
import type { Command } from "./command.ts";

interface Entry {
  readonly summary: string;
  readonly load: () => Command;
}

const of = (module: { command: Command }): Command => module.command;

export const commands = {
  ls: { summary: "list segments", load: () => of(require("./commands/ls.ts")) },
  show: { summary: "show what is in a file", load: () => of(require("./commands/show.ts")) },
  watch: { summary: "show what changes", load: () => of(require("./commands/watch.ts")) },
  get: { summary: "print one value", load: () => of(require("./commands/get.ts")) },
  set: { summary: "set one value", load: () => of(require("./commands/set.ts")) },
  edit: { summary: "edit a file as JSON in $EDITOR", load: () => of(require("./commands/edit.ts")) },
  layout: { summary: "show how a struct lies in memory", load: () => of(require("./commands/layout.ts")) },
  diff: { summary: "compare two files", load: () => of(require("./commands/diff.ts")) },
  who: { summary: "show who uses a file", load: () => of(require("./commands/who.ts")) },
  tail: {
    summary: "print messages of a channel as they come",
    load: () => of(require("./commands/tail.ts")),
  },
  hz: { summary: "measure rates and sizes", load: () => of(require("./commands/hz.ts")) },
  top: { summary: "show all segments at work on one screen", load: () => of(require("./commands/top.ts")) },
  record: { summary: "record messages and states", load: () => of(require("./commands/record.ts")) },
  replay: { summary: "play a recording", load: () => of(require("./commands/replay.ts")) },
  backup: { summary: "copy a file, whole", load: () => of(require("./commands/backup.ts")) },
  restore: {
    summary: "put a backup in the place of a file",
    load: () => of(require("./commands/restore.ts")),
  },
  rm: { summary: "remove files", load: () => of(require("./commands/rm.ts")) },
  purge: { summary: "remove what segments have left", load: () => of(require("./commands/purge.ts")) },
  migrate: { summary: "give a record another struct", load: () => of(require("./commands/migrate.ts")) },
  queue: { summary: "show jobs, give them back, drop them", load: () => of(require("./commands/queue.ts")) },
  serve: {
    summary: "look at segments in a browser",
    load: () => of(require("./commands/serve.ts")),
  },
  export: { summary: "write a layout in another language", load: () => of(require("./commands/export.ts")) },
  import: { summary: "make classes from a C header", load: () => of(require("./commands/import.ts")) },
  doctor: {
    summary: "find what is wrong, and say what to do",
    load: () => of(require("./commands/doctor.ts")),
  },
  completion: { summary: "complete words in a shell", load: () => of(require("./commands/completion.ts")) },
  mirror: { summary: "keep a file on several machines", load: () => of(require("./commands/mirror.ts")) },
} as const satisfies Readonly<Record<string, Entry>>;
