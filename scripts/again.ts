/**
 * For `.ci/run`: runs the test files again, each by itself, in which a test failed while others ran beside it:
 *
 *     bun scripts/again.ts LOG
 *
 * A file that fails by itself has failed: exit code 1. Otherwise the log says that they passed.
 */
import { readFileSync, writeFileSync } from "node:fs";
import { passAlone } from "./alone.ts";

const [path = ""] = process.argv.slice(2);
const log = readFileSync(path, "utf8");

const passed = await passAlone(log, async (file) => {
  const command = [process.execPath, "test", "--timeout=240000", file];
  return (await Bun.spawn(command, { stdout: "inherit", stderr: "inherit" }).exited) === 0;
});
if (!passed) process.exit(1);
const failed = Number(/^ *(\d+) fail$/m.exec(log)?.[1] ?? 0);
writeFileSync(
  path,
  log
    .replace(/^ *\d+ fail$/m, " 0 fail")
    .replace(/^ *(\d+) pass$/m, (_, count) => ` ${Number(count) + failed} pass`),
);
