/** The files that commands write with `-o`: never a segment, and never cut while another program has them mapped. */
import { lstatSync, realpathSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { segmentAt } from "../segment/list.ts";
import { throughFs } from "../sys/paths.ts";
import { UsageError } from "./command.ts";
import { escapeText } from "./output.ts";

/**
 * Where a file is to be written: the path, or what a link there leads to.
 * @throws UsageError for a segment: its content would be lost, and its users killed
 */
export function outputPath(path: string): string {
  const isThere = throughFs(() => lstatSync(path, { throwIfNoEntry: false })) !== undefined;
  const target = isThere ? throughFs(() => realpathSync(path)) : path;
  const segment = segmentAt(target);
  if (segment === undefined) return target;
  throw new UsageError(
    `-o '${escapeText(path)}' is a segment (${segment.kind ?? segment.state}), whose content would be lost: choose another path`,
  );
}

/** What stands for stdout in the place of a file's name. */
export const STDOUT = "-";

/**
 * Writes text as the new content of a file in one step; of what is no regular file, such as /dev/stdout, in place.
 * @throws UsageError for a segment; SystemError
 */
export function writeOutput(path: string, text: string): void {
  const target = outputPath(path);
  const status = throughFs(() => lstatSync(target, { throwIfNoEntry: false }));
  if (status !== undefined && !status.isFile()) {
    throughFs(() => writeFileSync(target, text));
    return;
  }
  const fresh = `${target}.${crypto.randomUUID()}.new`;
  try {
    throughFs(() => writeFileSync(fresh, text, { flag: "wx", mode: (status?.mode ?? 0o666) & 0o777 }));
    throughFs(() => renameSync(fresh, target));
  } catch (error) {
    rmSync(fresh, { force: true });
    throw error;
  }
}
