/** Copies of segments as files of their own: whole, described, and opened without a lock. */
import { checkOptions } from "../errors/check-options.ts";
import { FileFormatError } from "../errors/errors.ts";
import { checkTimeout } from "../sync/deadline.ts";
import { type AsyncLockOptions, LOCK_OPTIONS, type LockOptions } from "../sync/rw-lock.ts";
import { rename } from "../sys/new-file.ts";
import { absolutePath, exists } from "../sys/paths.ts";
import type { Trust } from "../sys/trust.ts";
import type { Content, ContentCopy, ContentType } from "./content.ts";
import { createSegment, makeFile, type SegmentPlan } from "./create.ts";
import type { Footer } from "./footer.ts";
import { segmentAt } from "./list.ts";
import type { Place } from "./place.ts";
import type { Segment } from "./segment.ts";
import { SegmentFile } from "./segment-file.ts";

/**
 * Writes a copy of the committed content to `path`, in one step; writers are not stopped where the content can be copied
 * without a lock. A backup that is there is replaced, another file is not.
 * @returns the version that the copy has
 * @throws FileFormatError when something else than a backup has the name; LockTimeoutError; SystemError ENOSPC …
 */
export function backupSegment<C extends Content>(
  segment: Segment<C>,
  path: string,
  options: LockOptions = {},
): number {
  checkOptions("backup", options, LOCK_OPTIONS);
  checkTimeout(options.timeoutMs);
  const content = segment.whole() ?? segment.content;
  const { footer, schemaBytes, mode } = content.file;
  if (footer === undefined)
    throw new FileFormatError(
      segment.path,
      `'${segment.path}' has no footer that describes it: copy it under its lock instead`,
    );
  refuseToReplace(path, segment);
  const copy = copyOf(segment, options);
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

/** What a backup is restored with. */
export interface RestoreSegmentOptions {
  /** Permissions of the new file. Default: those of the backup. */
  readonly mode?: number | undefined;
  /** Whether writers keep the state before them in the new file, where its lock is flock. Default false. */
  readonly transactional?: boolean | undefined;
  /** Milliseconds to wait for the lock of a file that is replaced. */
  readonly timeoutMs?: number | undefined;
  readonly trust?: Trust | undefined;
}

/**
 * Makes the content of a backup the one of a place, instead of what is there.
 * @throws FileMissingError; FileFormatError, LayoutMismatchError for a file that holds something else, FileFormatError for a place
 *   that is a backup; LockTimeoutError; SystemError
 */
export function restoreSegment<C extends Content>(
  place: Place,
  type: ContentType<C>,
  backup: string,
  { mode, transactional = false, timeoutMs, trust }: RestoreSegmentOptions = {},
): void {
  const { words, leastBytes, kind } = type;
  if (segmentAt(place.dataPath)?.state === "backup")
    throw new FileFormatError(
      place.dataPath,
      `'${place.dataPath}' is a backup, which would be one no more: choose another path to restore to`,
    );
  using old = SegmentFile.open(absolutePath(".", backup), { access: "read", words, leastBytes, trust });
  if (old.footer?.content !== kind) throw new FileFormatError(backup, `'${backup}' holds no ${kind}`);
  const { bytes } = type.open(old).copyCommitted(true) as ContentCopy;
  const plan: SegmentPlan = {
    content: kind,
    lockKind: old.lockKind,
    contentBytes: bytes.byteLength,
    fingerprint: old.footer.fingerprint,
    transactional: transactional && old.lockKind === "flock",
    schema: JSON.parse(Buffer.from(old.schemaBytes).toString()),
    name: `the ${kind} of '${backup}'`,
    fill: (file) => file.bytes.set(bytes),
  };
  createSegment(place, plan, type, { force: true, mode: mode ?? old.mode, timeoutMs, trust });
}

/** The committed content in private memory; without a lock where that is possible. */
const copyUnlocked = <C extends Content>(segment: Segment<C>): ContentCopy | undefined =>
  (segment.whole() ?? segment.content).copyCommitted(false);

/** With the shared lock where it is needed, as part of what the segment's user holds already, if anything. */
function copyOf<C extends Content>(segment: Segment<C>, options: LockOptions): ContentCopy {
  const copy = copyUnlocked(segment);
  if (copy !== undefined) return copy;
  if (segment.held !== undefined) return segment.content.copyCommitted(true) as ContentCopy;
  segment.acquire("shared", options);
  return copyAndRelease(segment);
}

/**
 * The committed content in private memory. Where that needs the lock, the event loop goes on during the wait for it.
 * @throws LockTimeoutError; the signal's reason
 */
export async function copyOfAsync<C extends Content>(
  segment: Segment<C>,
  options: AsyncLockOptions,
): Promise<ContentCopy> {
  const copy = copyUnlocked(segment);
  if (copy !== undefined) return copy;
  await segment.acquireAsync("shared", options);
  return copyAndRelease(segment);
}

function copyAndRelease<C extends Content>(segment: Segment<C>): ContentCopy {
  try {
    return segment.content.copyCommitted(true) as ContentCopy;
  } finally {
    segment.releaseIfHeld();
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
