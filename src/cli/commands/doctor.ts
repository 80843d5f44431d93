import { listSegments } from "../../segment/list.ts";
import { directoryOf } from "../../sys/paths.ts";
import { statusAt } from "../../sys/status.ts";
import { type Command, define, EXIT, TRUST } from "../command.ts";
import { leftovers, segmentProblems } from "../doctor/files.ts";
import type { Problem } from "../doctor/problem.ts";
import { directoryProblems, machineProblems, thisMachine } from "../doctor/system.ts";
import { directoriesOf } from "../listing.ts";
import { DIRECTORIES, describeAny, findFile, type OpenValues } from "../open.ts";
import { escapeText, type Output } from "../output.ts";

export const command: Command = define({
  args: "[FILE | DIR]…",
  count: [0, 1000],
  details: `Looks for everything that can be wrong with files, directories (default ${DIRECTORIES.join(" and ")}) and the machine, and says what to do.\nExit code 1 when there is a fault; risks alone leave it 0.`,
  options: { ...TRUST },
  examples: ["shmstruct doctor", "shmstruct doctor Robot", "shmstruct doctor --json /run/robot | jq .advice"],
  run(sources, values, out) {
    const machine = thisMachine;
    const files = sources.filter((source) => !isDirectory(source)).map(findFile);
    const directories = sources.filter(isDirectory);
    const whole = sources.length === 0 ? directoriesOf([]) : directories;
    const around = new Set([...whole, ...files.map(directoryOf)]);
    const problems = [
      ...machineProblems(machine),
      ...[...around].flatMap((directory) => directoryProblems(directory, machine)),
      ...whole.flatMap((directory) => inDirectory(directory, values)),
      ...files.flatMap((file) => segmentProblems(describeAny(file), values, machine)),
    ];
    print(out, problems);
    return problems.some(({ severity }) => severity === "fault") ? EXIT.differs : EXIT.done;
  },
});

function isDirectory(source: string): boolean {
  const status = source === "" ? undefined : statusAt(source);
  return status !== undefined && !status.isFile;
}

const inDirectory = (directory: string, values: OpenValues): Problem[] => [
  ...leftovers(directory),
  ...listSegments(directory).flatMap((segment) => segmentProblems(segment, values, thisMachine)),
];

function print(out: Output, problems: readonly Problem[]): void {
  if (out.isJson) {
    for (const problem of problems) out.json(problem);
    return;
  }
  if (problems.length === 0) out.line(out.paint("green", "nothing is wrong"));
  for (const { severity, path, problem, advice } of problems) {
    out.line(
      `${out.paint(severity === "fault" ? "red" : "yellow", severity)} ${out.paint("bold", escapeText(path))}`,
    );
    out.line(`  ${escapeText(problem)}`);
    out.line(`  ${out.paint("cyan", "→")} ${escapeText(advice)}`);
  }
}
