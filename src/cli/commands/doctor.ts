import { wakerText } from "../../sync/ring-waker.ts";
import { type Command, define, EXIT, TRUST } from "../command.ts";
import { examine } from "../doctor/examine.ts";
import type { Problem } from "../doctor/problem.ts";
import { thisMachine } from "../doctor/system.ts";
import { DIRECTORIES } from "../open.ts";
import { escapeText, type Output } from "../output.ts";

export const command: Command = define({
  args: "[FILE | DIR]…",
  count: [0, 1000],
  details: `Looks for everything that can be wrong with files, directories (default ${DIRECTORIES.join(" and ")}) and the machine, and says what to do.\nExit code 1 when there is a fault; risks alone leave it 0.`,
  options: { ...TRUST },
  examples: ["shmstruct doctor", "shmstruct doctor Robot", "shmstruct doctor --json /run/robot | jq .advice"],
  run(sources, values, out) {
    const problems = examine(sources, values, thisMachine);
    print(out, problems);
    return problems.some(({ severity }) => severity === "fault") ? EXIT.differs : EXIT.done;
  },
});

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
  out.line(`waits of programs in Bun are ended by ${wakerText(process.env.SHMSTRUCT_WAKER)}`);
}
