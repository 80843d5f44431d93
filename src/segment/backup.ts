/** Copies of segments as files of their own: whole, described, and opened without a lock. */
import { FileFormatError } from "../errors/errors.ts";
import { rename } from "../sys/new-file.ts";
import { exists } from "../sys/paths.ts";
import type { Content, ContentCopy } from "./content.ts";
import { makeFile } from "./create.ts";
import type { Footer } from "./footer.ts";
import type { Segment } from "./segment.ts";
import { SegmentFile } from "./segment-file.ts";

/**
 * Writes a copy of the committed content to `path`, in one step; writers are not stopped where the content can be copied
 * without a lock. A backup that is there is replaced, another file is not.
 * @returns the version that the copy has
 * @throws FileFormatError when something else than a backup has the name; LockTimeoutError; SystemError ENOSPC …
 */
export function backupSegment<C extends Content>(segment: Segment<C>, path: string): number {
  const content = segment.whole() ?? segment.content;
  const { footer, schemaBytes, mode } = content.file;
  if (footer === undefined)
    throw new FileFormatError(
      segment.path,
      `'${segment.path}' has no footer that describes it: copy it under its lock instead`,
    );
  refuseToReplace(path, segment);
  const copy = content.copyCommitted(false) ?? copyLocked(segment);
  makeFile(path, backupFooter(footer), schemaBytes, {
    mode,
    version: copy.version,
    fill: (bytes) => bytes.set(copy.bytes),
    publish: (temporary) => {
      rename(temporary, path);
      return true;
    },
  });
  return copy.version;
}

/** With the shared lock, as part of what the segment's user holds already, if anything. */
function copyLocked<C extends Content>(segment: Segment<C>): ContentCopy {
  const isHeld = segment.held !== undefined;
  if (!isHeld) segment.acquire("shared");
  try {
    return segment.content.copyCommitted(true) as ContentCopy;
  } finally {
    if (!isHeld) segment.releaseIfHeld();
  }
}

/** A backup keeps no pre-image: no writer works on it. */
const backupFooter = (footer: Footer): Footer => ({
  ...footer,
  transactional: false,
  blockBytes: 0,
  isBackup: true,
});

function refuseToReplace<C extends Content>(path: string, { type: { words }, path: live }: Segment<C>): void {
  if (!exists(path)) return;
  using there = SegmentFile.open(path, { access: "read", words, leastBytes: 1 });
  if (there.footer?.isBackup && path !== live) return;
  throw new FileFormatError(path, `'${path}' is there already and is no backup: choose another path`);
}
