import { readFileSync } from "node:fs";
import { processesOf } from "../../segment/info.ts";
import type { MirrorInfo } from "../../segment/mirror-state.ts";
import { type Command, define, TRUST } from "../command.ts";
import { openInspector } from "../open.ts";
import { ageText, escapeText } from "../output.ts";

export const command: Command = define({
  args: "FILE",
  count: [1, 1],
  details:
    "Who holds the lock, who waits for it, the publisher of a channel, the owners of a queue, and who has the file mapped;\nas far as this user may see. Publisher, owners and mirror are the file's word: who may write it can name any process.",
  options: { ...TRUST },
  examples: [
    "shmstruct who Robot",
    'shmstruct who --json Robot | jq \'select(.state == "stopped" and any(.does[]; startswith("holds"))).pid\' | xargs -r kill -CONT',
  ],
  run([file = ""], trust, out) {
    using inspector = openInspector(file, trust);
    const { lock, deadWriter, path, mirror } = inspector.info();
    const roles = new Map<number, string[]>();
    const note = (pid: number, role: string): void => {
      roles.set(pid, [...(roles.get(pid) ?? []), role]);
    };
    for (const { pid, mode } of lock?.holders ?? []) note(pid, `holds (${mode})`);
    for (const { pid, mode } of lock?.waiting ?? []) note(pid, `waits (${mode})`);
    for (const { pid, does } of inspector.users?.() ?? []) note(pid, does);
    if (mirror !== undefined)
      note(mirror.pid, mirror.role === "follow" ? "follows a mirror" : "publishes a mirror");
    for (const pid of processesOf(path) ?? []) if (pid !== process.pid) note(pid, "has it open");
    for (const [pid, does] of roles) {
      const { command: line, state, startedAt } = describe(pid);
      if (out.isJson) out.json({ pid, does, command: line, state, startedAt });
    }
    if (out.isJson) return undefined;
    const rows = [...roles].map(([pid, does]) => {
      const { command: line, state, startedAt } = describe(pid);
      const since = startedAt === undefined ? "-" : ageText(Date.now() - startedAt);
      return [pid === 0 ? "?" : String(pid), does.join(", "), state, since, escapeText(line).slice(0, 120)];
    });
    if (rows.length > 0) out.table(["PID", "DOES", "STATE", "AGE", "COMMAND"], rows, [0, 3]);
    else out.line(out.paint("dim", "no process that can be seen from here"));
    if (mirror !== undefined) out.line(mirrorText(mirror));
    if (deadWriter)
      out.line(
        out.paint("yellow", "its last writer died; the next writer rolls back what it left half done"),
      );
    return undefined;
  },
});

/** How old a mirrored file is. */
function mirrorText({ role, epoch, staleSince, lagVersions, lagMs }: MirrorInfo): string {
  const since = staleSince === undefined ? "connected" : `stale for ${ageText(Date.now() - staleSince)}`;
  const took = lagMs === undefined ? "" : `, the last state took ${Math.round(lagMs)} ms`;
  const behind = role === "follow" ? "not stored" : "not confirmed";
  return `mirror: ${since}, publisher ${epoch} of the key, ${lagVersions} versions ${behind}${took}`;
}

interface Described {
  readonly command: string;
  readonly state: string;
  /** Milliseconds since 1970. */
  readonly startedAt: number | undefined;
}

const UNKNOWN: Described = { command: "", state: "unknown", startedAt: undefined };

/** What /proc tells of a process (proc(5)). */
function describe(pid: number): Described {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, "latin1");
    // The name is in brackets and may hold any characters.
    const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
    const line = readFileSync(`/proc/${pid}/cmdline`, "utf8").replaceAll("\0", " ").trim();
    const uptime = Number(readFileSync("/proc/uptime", "latin1").split(" ")[0]) * 1000;
    const startedAt = Date.now() - uptime + (Number(fields[19]) * 1000) / TICKS_PER_SECOND;
    return {
      command: line,
      state: fields[0] === "T" || fields[0] === "t" ? "stopped" : "running",
      startedAt,
    };
  } catch {
    return UNKNOWN;
  }
}

/** sysconf(_SC_CLK_TCK): 100 on every Linux that Bun runs on. */
const TICKS_PER_SECOND = 100;
