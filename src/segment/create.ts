/** Making, replacing and removing the files of segments: always whole, always under the writer lock. */
import { FileFormatError } from "../errors/errors.ts";
import { Deadline, sleepMs } from "../sync/deadline.ts";
import type { LockKind } from "../sync/file-lock.ts";
import type { LockPage } from "../sync/lock-page.ts";
import { makeLock, permit } from "../sync/permit.ts";
import type { LockOptions, RwLock } from "../sync/rw-lock.ts";
import { nowNs } from "../sys/clock.ts";
import { MAX_MAPPING_BYTES } from "../sys/mapping.ts";
import { linkNew, makeTemporary, rename, sweepTemporaries, unlink } from "../sys/new-file.ts";
import { directoryOf, exists, makeDirectory } from "../sys/paths.ts";
import type { Trust } from "../sys/trust.ts";
import type { Content, ContentCopy, ContentType } from "./content.ts";
import {
  AT,
  FOOTER_BYTES,
  type Footer,
  type FooterPlan,
  MAX_SCHEMA_BYTES,
  planFooter,
  writeFooter,
} from "./footer.ts";
import { supersedeDamaged } from "./open-data.ts";
import type { Place } from "./place.ts";
import { SegmentFile } from "./segment-file.ts";

/** The file that a content wants. */
export interface SegmentPlan extends Omit<FooterPlan, "schemaBytes" | "createdAt"> {
  /** JSON that describes the content. */
  readonly schema: unknown;
  /** What messages call the content. @example "Robot" */
  readonly name: string;
  /** Writes the content into the new, zeroed file, which has its footer already. What it throws ends the creation. */
  fill(file: NewSegment): void;
}

/** A new file before it has its name. */
export interface NewSegment {
  readonly path: string;
  readonly bytes: Uint8Array<ArrayBuffer>;
  readonly footer: Footer;
  readonly generation: number;
}

export interface CreateOptions extends LockOptions {
  /** Whose files are replaced, besides one's own and root's. */
  readonly trust?: Trust | undefined;
  /** Replace a file that is there. */
  readonly force?: boolean | undefined;
  /** Permissions, not reduced by the umask. */
  readonly mode: number;
  /** The least generation of the new file, for who remembers older files than the lock's page does. Default 0. */
  readonly leastGeneration?: number | undefined;
  /** `SegmentFile.id` of the file that is replaced or removed, if this process has it open: it may have been truncated to nothing. */
  readonly knownId?: string | undefined;
}

/**
 * Makes the file if it is missing, or replaces it when forced.
 * @returns whether it was made
 * @throws FileFormatError for a place that is taken by something else; LockTimeoutError; SystemError; what `fill` throws
 */
export function createSegment<C extends Content>(
  place: Place,
  plan: SegmentPlan,
  type: ContentType<C>,
  options: CreateOptions,
): boolean {
  if (!options.force && exists(place.dataPath)) {
    sweepTemporaries(place.dataPath, isOurTemporary);
    return false;
  }
  makeDirectory(directoryOf(place.dataPath));
  for (;;) {
    const made = tryCreate(place, plan, type, options);
    if (made !== undefined) return made;
    // A file with a kind of lock that we do not hold has appeared meanwhile.
    sleepMs(1);
  }
}

function tryCreate<C extends Content>(
  place: Place,
  plan: SegmentPlan,
  type: ContentType<C>,
  options: CreateOptions,
): boolean | undefined {
  const path = place.dataPath;
  const kinds = new Set([plan.lockKind, ...kindsInUse(place, type, options)]);
  using locks = new ExclusiveLocks(place, kinds, options);
  sweepTemporaries(path, isOurTemporary);
  // Only now is it certain what there is: another creator may have been faster.
  const replaces = exists(path);
  if (replaces && !options.force) return false;
  using old = replaces ? openOld(path, type, options) : undefined;
  if (replaces && !isCovered(kinds, old, type)) return undefined;
  locks.permit(plan.lockKind, options.mode);
  const { mode, leastGeneration } = options;
  const page = locks.pageOf(plan.lockKind);
  const generation = putFile(path, plan, { mode, page, old, replaces, leastGeneration });
  if (generation === undefined) return undefined;
  locks.announce();
  return true;
}

/**
 * Replaces a file that is there by what `makePlan` plans from it, under the writer lock. The old file is superseded before
 * the new one is filled: what its users store without the lock from then on (atomics, `live`) is lost, not half copied.
 * @param makePlan undefined to leave the file as it is
 * @returns whether it was replaced
 * @throws FileMissingError when it is missing; FileFormatError for another program's file, or a damaged one;
 *   LockTimeoutError; SystemError; what `makePlan` and its `fill` throw. The file stays as it was then
 */
export function replaceSegment<C extends Content>(
  place: Place,
  type: ContentType<C>,
  options: CreateOptions,
  makePlan: (old: SegmentFile) => SegmentPlan | undefined,
): boolean {
  const { dataPath: path } = place;
  for (;;) {
    const kinds = new Set(kindsInUse(place, type, options));
    using locks = new ExclusiveLocks(place, kinds, options);
    const { words, leastBytes } = type;
    using old = SegmentFile.open(path, { access: "write", words, leastBytes, ...options });
    if (!kinds.has(old.lockKind)) continue;
    sweepTemporaries(path, isOurTemporary);
    const plan = makePlan(old);
    if (plan === undefined) return false;
    const page = locks.pageOf(plan.lockKind);
    superseding(old, () => {
      putFile(path, plan, { mode: old.mode, page, old, replaces: true });
    });
    locks.announce();
    return true;
  }
}

/** A committed content of elsewhere, and what it says of itself. */
export interface SegmentImage {
  readonly plan: Omit<FooterPlan, "schemaBytes" | "createdAt">;
  readonly schema: Uint8Array;
  readonly copy: ContentCopy;
}

/**
 * Makes a file with that content and version, or replaces the one that is there; its users move over.
 * @throws FileFormatError for another program's file; LockTimeoutError; SystemError
 */
export function installImage<C extends Content>(
  place: Place,
  image: SegmentImage,
  type: ContentType<C>,
  options: Omit<CreateOptions, "force">,
): void {
  makeDirectory(directoryOf(place.dataPath));
  while (!tryInstall(place, image, type, options)) sleepMs(1);
}

/** @returns false when a file has appeared meanwhile that goes by another lock */
function tryInstall<C extends Content>(
  place: Place,
  { plan, schema, copy }: SegmentImage,
  type: ContentType<C>,
  options: Omit<CreateOptions, "force">,
): boolean {
  const { dataPath: path } = place;
  const kinds = new Set([plan.lockKind, ...kindsInUse(place, type, options)]);
  using locks = new ExclusiveLocks(place, kinds, options);
  const replaces = exists(path);
  using old = replaces ? openOld(path, type, options) : undefined;
  if (replaces && !isCovered(kinds, old, type)) return false;
  locks.permit(plan.lockKind, options.mode);
  const footer = planFooter({ ...plan, schemaBytes: schema.length, createdAt: nowNs() });
  makeFile(path, footer, schema, {
    mode: options.mode,
    version: copy.version,
    fill: (bytes) => bytes.set(copy.bytes),
    publish: (temporary) => {
      if (old !== undefined) superseding(old, () => rename(temporary, path));
      else rename(temporary, path);
      return true;
    },
  });
  const page = locks.pageOf(plan.lockKind);
  const generations = Math.floor(copy.version / TWO_TO_THE_32) + 1;
  if (page !== undefined) page.generations = Math.max(page.generations, generations);
  locks.announce();
  return true;
}

/** The locks that the users of the file go by which is there; if it is damaged, that cannot be known. */
function kindsInUse<C extends Content>(
  { dataPath }: Place,
  type: ContentType<C>,
  options: CreateOptions,
): readonly LockKind[] {
  if (!exists(dataPath)) return [];
  using old = openOld(dataPath, type, options);
  return old === undefined ? type.lockKinds : [old.lockKind];
}

/** All the locks that users of the old and of the new file go by, taken in one order. */
class ExclusiveLocks implements Disposable {
  readonly #locks: RwLock[] = [];

  constructor(place: Place, kinds: ReadonlySet<LockKind>, options: CreateOptions) {
    try {
      for (const kind of [...kinds].sort()) {
        this.#locks.push(lockedLock(place, kind, options, new Deadline(options.timeoutMs)));
      }
    } catch (error) {
      this[Symbol.dispose]();
      throw error;
    }
  }

  /** Gives the lock files of a kind these permissions. @throws SystemError EPERM for another user's */
  permit(kind: LockKind, mode: number): void {
    for (const lock of this.#locks) if (lock.kind === kind) permit(lock, mode);
  }

  pageOf(kind: LockKind): LockPage | undefined {
    return this.#locks.find((lock) => lock.kind === kind)?.page;
  }

  /** Notes on the pages, which outlive the file, which generation it was. */
  remember({ generations }: SegmentFile): void {
    for (const { page } of this.#locks)
      if (page !== undefined) page.generations = Math.max(page.generations, generations);
  }

  /** Wakes those who wait for changes: there is another file now. */
  announce(): void {
    for (const lock of this.#locks) lock.page?.announceChange();
  }

  [Symbol.dispose](): void {
    for (const lock of this.#locks) lock.close();
  }
}

/** The lock, held. Its files may be purged between their opening and the lock: then they are made again. */
function lockedLock(
  place: Place,
  kind: LockKind,
  { mode, trust }: CreateOptions,
  deadline: Deadline,
): RwLock {
  for (;;) {
    const lock = makeLockOf(place, kind, mode, trust);
    try {
      lock.acquire("exclusive", undefined, deadline);
      if (!lock.isUnlinkedOrReplaced) return lock;
    } catch (error) {
      lock.close();
      throw error;
    }
    lock.close();
  }
}

/** The lock of a place; what is missing is made, with exactly these permissions. */
export function makeLockOf(place: Place, kind: LockKind, mode: number, trust?: Trust): RwLock {
  const path = place.lockPath[kind];
  makeDirectory(directoryOf(path));
  return makeLock({ path, kind, mode, trust });
}

export interface PutOptions {
  readonly mode: number;
  /** Of the lock that is held: it remembers how many files there were. */
  readonly page: LockPage | undefined;
  /** The file that is replaced, to tell its users. */
  readonly old: SegmentFile | undefined;
  /** Something has the name, be it damaged. */
  readonly replaces: boolean;
  readonly leastGeneration?: number | undefined;
}

/**
 * Puts a new file in its place, whole from the first moment on. With the writer lock held.
 * @returns its generation; undefined when another file has appeared where nothing was
 * @throws SystemError ENOSPC, EACCES …, what `fill` throws; everything is as it was then
 */
export function putFile(path: string, plan: SegmentPlan, options: PutOptions): number | undefined {
  const { mode, page, old, replaces, leastGeneration = 0 } = options;
  const generation = Math.max(old?.generations ?? 0, page?.generations ?? 0, leastGeneration);
  const isMade = makeNew(path, plan, { mode, generation }, (temporary) => {
    if (!replaces) return linkNew(temporary, path);
    if (old !== undefined) superseding(old, () => rename(temporary, path));
    else {
      supersedeDamaged(path);
      rename(temporary, path);
    }
    return true;
  });
  if (!isMade) return undefined;
  if (page !== undefined) page.generations = generation + 1;
  return generation;
}

/** Tells the users of `file` to look for another one, if `takeName` takes its name from it: else they stay. */
export function superseding(file: SegmentFile, takeName: () => void): void {
  const { isWhole } = file;
  if (isWhole) file.setSuperseded(true);
  try {
    takeName();
  } catch (error) {
    if (isWhole) file.setSuperseded(false);
    throw error;
  }
}

/** Makes the whole new file under a temporary name in the same directory, and calls `publish` with that. */
function makeNew(
  path: string,
  plan: SegmentPlan,
  { mode, generation }: { mode: number; generation: number },
  publish: (temporary: string) => boolean,
): boolean {
  const schema = Buffer.from(JSON.stringify(plan.schema));
  if (schema.length > MAX_SCHEMA_BYTES)
    throw new RangeError(
      `the schema of ${plan.name} takes ${schema.length} bytes; a file holds at most ${MAX_SCHEMA_BYTES}`,
    );
  const footer = planFooter({ ...plan, schemaBytes: schema.length, createdAt: nowNs() });
  if (footer.fileBytes > MAX_MAPPING_BYTES) {
    throw new RangeError(
      `a file for ${plan.name} takes ${footer.fileBytes} bytes, and one mapping holds at most 4 GiB${footer.transactional ? `; transactional: false saves ${footer.contentBytes}` : ""}`,
    );
  }
  const version = generation * TWO_TO_THE_32;
  return makeFile(path, footer, schema, {
    mode,
    version,
    fill: (bytes, temporary) => plan.fill({ path: temporary, bytes, footer, generation }),
    publish,
  });
}

const TWO_TO_THE_32 = 2 ** 32;

/** How a file is made. */
interface FileMaking {
  readonly mode: number;
  /** That it begins with. */
  readonly version: number;
  fill(bytes: Uint8Array<ArrayBuffer>, temporary: string): void;
  /** Gives the whole file its name. */
  publish(temporary: string): boolean;
}

/**
 * Makes a file with this schema and a footer like this one, placed anew, under a temporary name.
 * @returns what `publish` returns
 */
export function makeFile(path: string, like: Footer, schema: Uint8Array, making: FileMaking): boolean {
  const footer = planFooter({ ...like, schemaBytes: schema.length });
  const sign = (bytes: Uint8Array<ArrayBuffer>): void => {
    writeFooter(bytes, footer, schema);
    setVersion(bytes, making.version);
  };
  const fill = (bytes: Uint8Array<ArrayBuffer>, temporary: string): void => making.fill(bytes, temporary);
  const { mode, publish } = making;
  return makeTemporary(path, { byteLength: footer.fileBytes, mode, marker: MARKER, sign, fill }, publish);
}

function setVersion(bytes: Uint8Array<ArrayBuffer>, version: number): void {
  const view = new DataView(bytes.buffer, bytes.byteLength - FOOTER_BYTES);
  for (const at of [AT.commits, AT.before]) {
    view.setUint32(at, version % TWO_TO_THE_32, true);
    view.setUint32(at + 4, Math.floor(version / TWO_TO_THE_32), true);
  }
}

/** What a temporary file begins with until it is filled: the footer's magic, so that leftovers are known by content. */
const MARKER = new Uint8Array(BigUint64Array.of(0x7463_7274_736d_6873n).buffer);

/** Whether a temporary file was made by this library: it begins with the marker, or has a footer. */
export function isOurTemporary(start: Uint8Array, end: Uint8Array): boolean {
  return beginsWith(start, MARKER) || beginsWith(end, MARKER);
}

const beginsWith = (bytes: Uint8Array, marker: Uint8Array): boolean =>
  marker.every((byte, i) => bytes[i] === byte);

/**
 * The file that is to be replaced, to tell its users. Undefined when it is ours but damaged: no process can open it.
 * @throws FileFormatError for a file of another program or with another content, which stays as it is; SystemError
 */
function openOld<C extends Content>(
  path: string,
  type: ContentType<C>,
  { trust, mode, knownId }: CreateOptions,
): SegmentFile | undefined {
  try {
    const file = SegmentFile.open(path, {
      access: "write",
      words: type.words,
      leastBytes: type.leastBytes,
      trust,
      mode,
      knownId,
    });
    recognise(file, type);
    return file;
  } catch (error) {
    if (error instanceof FileFormatError && error.isOurs) return undefined;
    throw error;
  }
}

/** A file without a footer may be another library's that this content knows, or anything at all. */
function recognise<C extends Content>(file: SegmentFile, type: ContentType<C>): void {
  const { footer, path } = file;
  try {
    if (footer === undefined) type.open(file);
    else if (footer.content !== type.kind)
      throw new FileFormatError(
        path,
        `'${path}' holds a ${footer.content}, not a ${type.kind}, and is left alone: choose another tag, name or directory`,
      );
  } catch (error) {
    file.close();
    throw error;
  }
}

/**
 * Removes the file if there is one; those who have it open find out at their next lock. Takes the writer lock. The lock
 * file stays, as others may hold it open.
 * @returns whether there was one
 * @throws FileFormatError for another program's file, or another content, which stays; LockTimeoutError, DeadlockError;
 *   SystemError EACCES where the directory lets no file be removed: then it stays in use
 */
export function removeSegment<C extends Content>(
  place: Place,
  type: ContentType<C>,
  options: CreateOptions,
): boolean {
  const path = place.dataPath;
  for (;;) {
    const kinds = new Set(kindsInUse(place, type, options));
    using locks = new ExclusiveLocks(place, kinds, options);
    if (!exists(path)) return false;
    using old = openOld(path, type, options);
    // It has appeared since, or goes by another lock: it must not be touched without that.
    if (!isCovered(kinds, old, type)) continue;
    sweepTemporaries(path, isOurTemporary);
    if (old === undefined) {
      supersedeDamaged(path);
      unlink(path);
    } else {
      locks.remember(old);
      superseding(old, () => unlink(path));
    }
    locks.announce();
    return true;
  }
}

/** Whether locks of these kinds keep out all users of a file; of a damaged one it takes all that there may be. */
const isCovered = <C extends Content>(
  kinds: ReadonlySet<LockKind>,
  old: SegmentFile | undefined,
  type: ContentType<C>,
): boolean => (old === undefined ? type.lockKinds : [old.lockKind]).every((kind) => kinds.has(kind));
