/** What else this process has mapped of a file, in whatever thread and by whatever means: the kernel knows. */

import { UnsupportedError } from "../errors/errors.ts";
import { fs } from "./builtin.ts";
import { pageSize } from "./file.ts";
import { isLinux } from "./libc/constants.ts";
import type { Mapping } from "./mapping.ts";
import { throughFs } from "./paths.ts";

/** How far a mapping of this thread reaches into its file: the kernel counts whole pages only. */
export interface Claim {
  /** As `FileStatus.id`. */
  readonly file: string;
  /** In bytes from the start of the file. */
  readonly end: number;
}

/** Of all mappings of files that are open in this thread. */
export const claims = new Set<Claim>();

interface MappedRange {
  start: number;
  end: number;
  fileOffset: number;
  /** Device and inode as the kernel prints them, which on some file systems is not what fstat says. */
  file: string;
}

/**
 * Whether a mapping of this process, other than `own`, would have pages beyond the end of the file if the file
 * behind `own` were cut to `fileBytes`: touching such a page kills the process. Of mappings of this thread every byte
 * counts.
 * @throws UnsupportedError where there is no /proc/self/maps to ask (macOS)
 */
export function isMappedElsewhereBeyond(own: Mapping, fileBytes: number): boolean {
  if (!isLinux) throw new UnsupportedError("shrinking a mapped file is supported on Linux only");
  for (const claim of claims) {
    if (claim !== own.claim && claim.file === own.claim?.file && claim.end > fileBytes) return true;
  }
  const ranges = readMappedRanges();
  const file = ranges.find(({ start, end }) => start <= own.address && own.address < end)?.file;
  const firstLostPage = wholePages(fileBytes);
  const ownEnd = own.address + wholePages(own.byteLength);
  return ranges.some((region) => {
    if (region.file !== file) return false;
    // The kernel joins neighbouring mappings of one file into one region, so our own part is cut out of it.
    const lost = region.start + Math.max(0, firstLostPage - region.fileOffset);
    return lost < Math.min(region.end, own.address) || Math.max(lost, ownEnd) < region.end;
  });
}

const wholePages = (byteLength: number): number => Math.ceil(byteLength / pageSize()) * pageSize();

/** See proc(5): "7f0e-7f0f rw-s 00001000 fe:00 1234   /path", numbers in base 16 but for the inode. */
function readMappedRanges(): MappedRange[] {
  const maps = throughFs(() => fs().readFileSync("/proc/self/maps", "latin1"));
  const lines = maps.matchAll(/^([0-9a-f]+)-([0-9a-f]+) \S+ ([0-9a-f]+) (\S+ \d+)/gm);
  return Array.from(lines, ([, start, end, offset, file]) => ({
    start: Number.parseInt(start!, 16),
    end: Number.parseInt(end!, 16),
    fileOffset: Number.parseInt(offset!, 16),
    file: file!,
  }));
}
