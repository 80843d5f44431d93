/** What lies in a segment, as far as the segment must know it. */
import type { LockKind } from "../sync/file-lock.ts";
import type { ContentKind } from "./footer.ts";
import type { SegmentFile } from "./segment-file.ts";

/** The content of one open file. */
export interface Content {
  readonly file: SegmentFile;
  /** How far the content has come: grows with every commit. Read without a lock. */
  readonly version: number;
  /**
   * Differs after every commit, for files whose writers need not count them (those of other libraries); undefined
   * where `version` says it all.
   */
  readonly mark?: string | undefined;
  /** Rolls back what a writer left half done that died. With the exclusive lock held. */
  repair(): void;
  /**
   * The committed content in private memory, as a new file of its kind begins with it. Without a lock; undefined when that
   * is not possible (writers too busy, or a content without a sequence): it is asked again with the shared lock held.
   */
  copyCommitted(isLocked: boolean): ContentCopy | undefined;
  /**
   * Makes a copy of another file of the same layout the committed state, with its version. With the exclusive lock held.
   * Undefined where that is not possible in place: then the file is replaced.
   */
  applyCommitted?(copy: ContentCopy): void;
}

/** What the version is while there is no file. */
export const NO_FILE = -1;

/** What tells one state of the content from another. */
export interface State {
  readonly version: number;
  readonly mark: string | undefined;
  /** Another file is another state, whatever its version. */
  readonly content: Content | undefined;
}

/** A committed content and how far it had come. */
export interface ContentCopy {
  readonly bytes: Uint8Array<ArrayBuffer>;
  readonly version: number;
}

/** The words of a content's room for the segment's messages: this room knows no name of a role. */
export interface ContentWords {
  /** What the object is called that has the segment open, for ClosedError. @example "the role" */
  readonly owner: string;
  /** What the file is called. @example "shared file" */
  readonly file: string;
  /** How the file is made. @example "a Manager makes it: new Manager(Robot, { create: true })" */
  readonly create: string;
  /** How a damaged file is recreated, and that this erases the content. */
  readonly recreate: string;
  /** What to do about a lock file that is missing. */
  readonly lockFile: string;
  /** What mode the file has, and how another is given, for EACCES. */
  readonly permit: string;
}

/** How a room opens its content. */
export interface ContentType<C extends Content> {
  readonly kind: ContentKind;
  readonly words: ContentWords;
  /** The least bytes that a file of this content has, one of another library without a footer included. */
  readonly leastBytes: number;
  /** The locks that users of such content may go by. */
  readonly lockKinds: readonly LockKind[];
  /**
   * Checks that the file holds this content, and attaches to it. The file stays the caller's when it throws.
   * @throws FileFormatError, LayoutMismatchError
   */
  open(file: SegmentFile): C;
}
