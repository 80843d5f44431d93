/** What can be wrong with segments and the files beside them. */
import { readdirSync } from "node:fs";
import { ShmError } from "../../errors/errors.ts";
import type { Inspector } from "../../segment/inspector.ts";
import type { ListedSegment } from "../../segment/list.ts";
import { segmentOfSideFile } from "../../segment/place.ts";
import { absolutePath, directoryOf, exists } from "../../sys/paths.ts";
import { statusAt } from "../../sys/status.ts";
import { type OpenValues, openInspector } from "../open.ts";
import { adviceFor, RECREATE } from "./advice.ts";
import { fault, type Problem, risk } from "./problem.ts";
import type { Machine } from "./system.ts";

/** Lock files and the like whose segment is gone. */
export function leftovers(directory: string): Problem[] {
  const alone = readdirSync(directory).filter((name) => {
    const segment = segmentOfSideFile(name);
    return segment !== undefined && !exists(absolutePath(directory, segment));
  });
  if (alone.length === 0) return [];
  const problem = `${alone.length} lock files and pages are left of segments that are gone: ${alone.slice(0, 3).join(", ")}${alone.length > 3 ? ", …" : ""}`;
  return [
    risk(
      directory,
      problem,
      `shmstruct purge '${directory}' removes those that no process uses; a lock file without a page may be another program's, so delete it by hand`,
    ),
  ];
}

/** Of one segment. */
export function segmentProblems(segment: ListedSegment, values: OpenValues, machine: Machine): Problem[] {
  const { path, state, problem = "" } = segment;
  if (state === "damaged") return [fault(path, problem, RECREATE)];
  if (state === "other format")
    return [
      fault(
        path,
        problem,
        "read it with that version, or let its program recreate it with { create: true, force: true }; the content is lost then",
      ),
    ];
  if (state === "leftover")
    return [
      risk(
        path,
        "a creator was killed while it made this file",
        "the next program that makes the file removes it",
      ),
    ];
  return [...protectedFile(segment, machine), ...openProblems(segment, values)];
}

const STICKY = 0o1000;

/** fs.protected_regular of proc_sys_fs(5). */
function protectedFile({ path, owner }: ListedSegment, machine: Machine): Problem[] {
  const level = Number(machine.read("/proc/sys/fs/protected_regular") ?? 0);
  const directory = statusAt(directoryOf(path));
  const isAnothers = owner !== process.geteuid?.() && owner !== directory?.owner;
  if (level === 0 || directory === undefined || !isAnothers || (directory.mode & STICKY) === 0) return [];
  // Level 1 looks at directories that all may write to, level 2 also at those of a group.
  if ((directory.mode & (level === 1 ? 0o002 : 0o022)) === 0) return [];
  return [
    risk(
      path,
      `it belongs to user ${owner} in a sticky directory, and fs.protected_regular is ${level}: other programs that open it with O_CREAT get EACCES`,
      "a directory of one's own, or open without O_CREAT first (shmstruct does)",
    ),
  ];
}

function openProblems({ path, state }: ListedSegment, values: OpenValues): Problem[] {
  try {
    using inspector = openInspector(path, values);
    return [...contentProblems(inspector), ...lockProblems(inspector, state)];
  } catch (error) {
    // Too many values to be shown are no fault of the file.
    if (error instanceof RangeError) return [];
    if (!(error instanceof ShmError)) throw error;
    return [fault(path, error.message, adviceFor(error))];
  }
}

/** The content can be read, and those who have a part in it live. */
function contentProblems(inspector: Inspector): Problem[] {
  inspector.look();
  const dead = (inspector.users?.() ?? []).filter(({ isDead }) => isDead);
  return dead.map(({ pid, does }) =>
    risk(
      inspector.path,
      `process ${pid} has died: ${does}`,
      "the next worker that finds no job, or claims its number, gives its jobs back; start one",
    ),
  );
}

function lockProblems(inspector: Inspector, state: ListedSegment["state"]): Problem[] {
  const { path, deadWriter, lock } = inspector.info();
  const problems: Problem[] = [];
  if (deadWriter)
    problems.push(
      fault(
        path,
        "its last writer died in the middle of a change",
        "nothing is lost: readers get the state before, and the next writer rolls back, for instance shmstruct set or edit",
      ),
    );
  for (const { pid, state: does } of lock?.holders ?? [])
    if (does === "stopped")
      problems.push(
        fault(
          path,
          `process ${pid} holds its lock, and is stopped`,
          `kill -CONT ${pid} lets it go on, kill ${pid} ends it`,
        ),
      );
  if (state === "superseded")
    problems.push(
      risk(
        path,
        "it was superseded and still has its name: its replacer is at work, or died",
        "the next writer puts that right",
      ),
    );
  return problems;
}
