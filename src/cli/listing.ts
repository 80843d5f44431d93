/** Segments of directories with their rates and who holds their locks. */
import { type ListedSegment, listSegments } from "../segment/list.ts";
import { placeOfPath } from "../segment/place.ts";
import { holdersByInode } from "../sync/holders.ts";
import { exists } from "../sys/paths.ts";
import { statusAt } from "../sys/status.ts";
import { NotFoundError } from "./command.ts";
import { DIRECTORIES, withVersion } from "./open.ts";
import { escapeText, type Style } from "./output.ts";

export interface Row extends ListedSegment {
  /** Commits a second since the look before; undefined in the first. */
  readonly rate: number | undefined;
  /** Processes that hold its lock. */
  readonly holders: readonly number[];
}

/** One look at all of them. */
export interface Listing {
  /** By `performance.now()`. */
  readonly at: number;
  readonly rows: readonly Row[];
}

export const STATE_STYLES: Partial<Record<ListedSegment["state"], Style>> = {
  damaged: "red",
  "other format": "red",
  leftover: "yellow",
  superseded: "yellow",
  "dead writer": "yellow",
  busy: "cyan",
  backup: "dim",
};

/** The directories that were given, or those where segments are as a rule. @throws NotFoundError */
export function directoriesOf(given: readonly string[]): readonly string[] {
  for (const directory of given)
    if (!exists(directory)) throw new NotFoundError(`there is no directory '${escapeText(directory)}'`);
  return given.length > 0 ? given : DIRECTORIES.filter((directory) => exists(directory));
}

/** @example rateText(12.3) // "12/s" */
export const rateText = (rate: number | undefined): string =>
  rate === undefined ? "-" : `${rate.toFixed(rate < 10 ? 1 : 0)}/s`;

/** The segments of directories. @param before the look before, for the rates */
export function look(directories: readonly string[], before: Listing | undefined): Listing {
  const at = performance.now();
  const old = new Map(before?.rows.map((row) => [row.path, row.version]));
  const holders = holdersByInode();
  const rows = directories
    .flatMap(listSegments)
    .map(withVersion)
    .map((segment) => {
      const last = old.get(segment.path);
      const rate = last === undefined ? undefined : ((segment.version - last) * 1000) / (at - before!.at);
      return { ...segment, rate, holders: holdersOf(segment.path, holders) };
    });
  return { at, rows };
}

/** Of the lock beside a segment. */
function holdersOf(path: string, holders: ReadonlyMap<string, readonly number[]>): number[] {
  return Object.values(placeOfPath(path).lockPath).flatMap((lock) => {
    const inode = statusAt(lock)?.id.split(":").at(-1);
    return inode === undefined ? [] : [...(holders.get(inode) ?? [])];
  });
}
