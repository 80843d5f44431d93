/**
 * Test files in which a test failed beside others run again, each by itself, and are named. Tests here measure who waits how long for
 * whom; a machine that is busy with something else can fail one. Shared by scripts/again.ts and scripts/platforms.ts.
 */

/** More than a few are no accident. */
const MAX_FILES = 8;
/** How often a file may try by itself: CI's machine has other tenants. */
const TRIES = 2;
/** What stands before a failed test in a log: the line of the source, expected and received. */
const LINES_BEFORE = 25;

/** The files that failed, by a log of `bun test` or of scripts/platform/each-file.sh. */
export function failedFiles(log: string): string[] {
  let file = "";
  const failed = new Set<string>();
  for (const line of log.split("\n")) {
    // The headings of files stand before their tests.
    file = /^(tests\/\S+\.test\.ts):$/.exec(line)?.[1] ?? file;
    // Then they are told once more, without headings.
    if (/^\d+ tests? failed:$/.test(line)) file = "";
    if (line.startsWith("(fail)") && file !== "") failed.add(file);
    const ended = /^(?:\.\/)?(tests\/\S+\.test\.ts): \d+ s, .*exit code ([1-9]\d*)$/.exec(line)?.[1];
    if (ended !== undefined) failed.add(ended);
  }
  return [...failed];
}

/** The failed tests of a log with what was printed before each, for the end of a long log, of which CI shows only that. */
export function failuresIn(log: string): string {
  const lines = log.split("\n");
  const shown = new Set<number>();
  for (const [at, line] of lines.entries()) {
    if (/^\d+ tests? failed:$/.test(line)) break;
    if (!line.startsWith("(fail)") && !/exit code [1-9]\d*$/.test(line)) continue;
    for (let i = Math.max(0, at - LINES_BEFORE); i <= at; i++) shown.add(i);
  }
  return [...shown].map((at) => lines[at]).join("\n");
}

/**
 * Runs the failed files of a log again; true when each passes by itself.
 * @param run runs one file and says whether it passed
 */
export async function passAlone(log: string, run: (file: string) => Promise<boolean>): Promise<boolean> {
  // Types, format and lint do not fail because a machine is busy.
  if (/^== failed: .*(types|lint)/m.test(log)) return false;
  const files = failedFiles(log);
  if (files.length === 0 || files.length > MAX_FILES) return false;
  for (const file of files) {
    if (!(await passes(file, run))) return false;
  }
  console.log(`\nPASSED ONLY ALONE: ${files.join(", ")}`);
  return true;
}

async function passes(file: string, run: (file: string) => Promise<boolean>): Promise<boolean> {
  for (let tried = 0; tried < TRIES; tried++) {
    console.log(`\n== again, by itself: ${file}`);
    if (await run(file)) return true;
  }
  return false;
}
