/** Everything that `doctor` looks at: the machine, directories and files. */
import { readdirSync, statSync } from "node:fs";
import { ShmError } from "../../errors/errors.ts";
import { listSegments } from "../../segment/list.ts";
import { segmentOfSideFile } from "../../segment/place.ts";
import { absolutePath, directoryOf } from "../../sys/paths.ts";
import { statusAt } from "../../sys/status.ts";
import { directoriesOf } from "../listing.ts";
import { describeAny, findFile, type OpenValues } from "../open.ts";
import { adviceFor } from "./advice.ts";
import { leftovers, segmentProblems } from "./files.ts";
import { fault, type Problem } from "./problem.ts";
import { directoryProblems, type Machine, machineProblems } from "./system.ts";

/**
 * @param sources names of files, and directories; none: the directories that have segments as a rule
 * @throws NotFoundError, UsageError
 */
export function examine(sources: readonly string[], values: OpenValues, machine: Machine): Problem[] {
  const files = sources.filter((source) => !isDirectory(source)).map(findFile);
  const directories = sources.filter(isDirectory);
  const whole = sources.length === 0 ? directoriesOf([]) : directories;
  const around = new Set([...whole, ...files.map(directoryOf)]);
  return [
    ...machineProblems(machine),
    ...[...around].flatMap((directory) => directoryProblems(directory, machine)),
    ...whole.flatMap((directory) => inDirectory(directory, values, machine)),
    ...files.flatMap((file) => fileProblems(file, values, machine)),
  ];
}

const isDirectory = (source: string): boolean =>
  source !== "" && statSync(source, { throwIfNoEntry: false })?.isDirectory() === true;

function inDirectory(directory: string, values: OpenValues, machine: Machine): Problem[] {
  const segments = listSegments(directory);
  const known = new Set(segments.map(({ path }) => path));
  const locked = readdirSync(directory)
    .map(segmentOfSideFile)
    .filter((name) => name !== undefined);
  const others = [...new Set(locked)]
    .map((name) => absolutePath(directory, name))
    .filter((path) => !known.has(path) && statusAt(path)?.isFile === true);
  return [
    ...leftovers(directory),
    ...segments.flatMap((segment) => segmentProblems(segment, values, machine)),
    // It has a lock of ours, and says nothing of itself.
    ...others.flatMap((path) => fileProblems(path, values, machine)),
  ];
}

function fileProblems(path: string, values: OpenValues, machine: Machine): Problem[] {
  try {
    return segmentProblems(describeAny(path), values, machine);
  } catch (error) {
    if (!(error instanceof ShmError)) throw error;
    return [fault(path, error.message, adviceFor(error))];
  }
}
