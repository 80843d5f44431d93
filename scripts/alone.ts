/**
 * Test files in which a test failed beside others run again, each by itself, and are named. Tests here measure who waits how long for
 * whom; a machine that is busy with something else can fail one. Shared by scripts/again.ts and scripts/platforms.ts.
 */

/** More than a few are no accident. */
const MAX_FILES = 8;

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
    console.log(`\n== again, by itself: ${file}`);
    if (!(await run(file))) return false;
  }
  console.log(`\nPASSED ONLY ALONE: ${files.join(", ")}`);
  return true;
}
