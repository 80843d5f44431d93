/**
 * The record in a segment: a struct, the transaction protocol of its writers and the lock-free copy of its readers. It
 * knows nothing of locks; the caller of `begin`, `commit` or `rollBack` holds the exclusive one.
 *
 * The sequence word is odd while a writer is at work. A writer keeps the state before it in the pre-image:
 *
 *     state          event       next           what happens, in this order
 *     even           begin       odd            live -> pre-image, version -> before, then sequence + 1
 *     odd            store       odd            of a large struct only its block -> pre-image, now (pre-image.ts)
 *     odd            commit      even           commits + 1, then sequence + 1
 *     odd            roll back   even           pre-image -> live, then sequence + 1
 *     odd            writer dies odd            nothing: the next writer repairs
 *     odd            repair      even           pre-image -> live, before -> version, then the next even number,
 *                                               absolutely, so that two repairs in a row cannot invert the parity
 *
 * So the committed state is the live struct while the sequence is even, and the pre-image while it is odd (no process
 * writes that then); of a large struct the saved blocks of the pre-image, and the rest of the live struct. Under a shared
 * lock the sequence stands still: odd means a dead writer.
 */
import { FileFormatError, SupersededError } from "../errors/errors.ts";
import type { Content, ContentCopy, ContentType, ContentWords } from "../segment/content.ts";
import { optionsFor, type Place } from "../segment/place.ts";
import type { SegmentFile } from "../segment/segment-file.ts";
import { HEADER_CODE } from "../struct/declare/header.ts";
import type { Struct } from "../struct/declare/struct.ts";
import { viewAt } from "../struct/functions.ts";
import type { Layout } from "../struct/layout/layout.ts";
import { atomicRanges, type Range, rangesBetween } from "../struct/layout/plain-ranges.ts";
import { FRESH, READ_ONLY, Region } from "../struct/memory/memory.ts";
import { TrackedRegion } from "../struct/memory/tracked.ts";
import type { StructSchema } from "../struct/schema/schema.ts";
import { guardSleepers } from "../struct/view/atomic.ts";
import { readConsistent } from "../sync/seqlock.ts";
import { exists } from "../sys/paths.ts";
import { checkLayout, inFile, isOfClass } from "./layouts.ts";
import type { Part, PartMemory } from "./parts.ts";
import { BlockPreImage, type PreImage, type PreImagePlan, WholePreImage } from "./pre-image.ts";

/** Any record, also one of IPMMAP, has at least the header. */
export const LEAST_BYTES = 16;

/** Where the header keeps it. */
const TIME_STAMP_AT = 8;

/** The header's first member: it tells what the file is, so it is never anything else, not even for a moment. */
const HEADER_CODE_BYTES = 2;

const recreateHint = (place: Place | undefined): string =>
  `a Manager with ${optionsFor(place, "create: true, force: true")} recreates it, which erases its content`;

/** The words of records for the segment's messages. */
export function recordWords(className: string, place?: Place): ContentWords {
  return {
    owner: "the role",
    file: "shared file",
    create: `a Manager makes it: new Manager(${className}, ${optionsFor(place, "create: true")})`,
    recreate: recreateHint(place),
    lockFile:
      "a Manager makes it beside its file; in a lockDir, give the lockDir that the Manager was given (default ./.fasteners in its working directory), and if it was deleted there, make an empty file",
    permit: `permission denied: the file has mode 0600 unless a Manager was told another one, new Manager(${className}, ${optionsFor(place, "create: true, mode: 0o660")}); check the directories too`,
  };
}

/** How records of a layout are opened; without a layout the struct may be any, and `className` is for messages. */
export function recordType(
  layout: Layout | undefined,
  place: Place,
  className?: string,
): ContentType<RecordContent> {
  return {
    kind: "record",
    words: recordWords(className ?? layout?.name ?? "Class", place),
    leastBytes: LEAST_BYTES,
    lockKinds: ["flock", "fcntl"],
    open(file) {
      if (file.footer === undefined) checkIpmmap(file, place, layout);
      else if (layout !== undefined) checkLayout(layout, file, place);
      return new RecordContent(file, layout);
    },
  };
}

/** So few words are copied one by one in less time than it takes to name them. */
const WORDS_ONE_BY_ONE = 32;

/** Views of the whole struct for reading a part in place. */
interface WholeViews {
  readonly live: object;
  readonly preImage: object;
}

/** Stands for a value of which one half lies in the live struct and the other in the pre-image. */
const MIXED = Symbol("mixed");

/** Stands for a value whose type refuses to read it. */
class Unreadable {
  readonly cause: unknown;

  constructor(cause: unknown) {
    this.cause = cause;
  }
}

export class RecordContent implements Content {
  readonly file: SegmentFile;
  /** Bytes of the struct in the file, at least those of the class. */
  readonly structBytes: number;
  /** True when a writer session keeps the sequence, so that copies need no lock. IPMMAP's processes do not. */
  readonly isSequenced: boolean;
  /** The live struct, for a writer's session, and for views without any lock. */
  readonly plain: Region;
  readonly fresh: Region;
  /** The live struct, for what only reads it. */
  readonly readable: Region;
  /** The state before the writer, as far as it was saved. */
  readonly #saved: Region;
  readonly #live: Uint8Array;
  readonly #liveWords: Int32Array;
  readonly #preImage: PreImage | undefined;
  #deadWriters: { readonly sequence: number; readonly committed: Region } | undefined;
  #wholeViews: WholeViews | undefined;
  /** All bytes but those of atomics. */
  readonly #transactional: readonly Range[];

  constructor(file: SegmentFile, layout: Layout | undefined) {
    const { bytes, footer } = file;
    const buffer = bytes.buffer;
    this.file = file;
    this.structBytes = footer?.contentBytes ?? layout?.size ?? file.byteLength;
    const traits = file.access === "read" ? READ_ONLY : 0;
    const preImageOffset = footer?.preImageOffset ?? 0;
    const live = new Region(buffer, 0, this.structBytes, traits);
    this.fresh = live.with(traits | FRESH);
    this.readable = live.with(READ_ONLY);
    this.#saved = new Region(buffer, preImageOffset, this.structBytes, READ_ONLY);
    this.#live = bytes.subarray(0, this.structBytes);
    this.#liveWords = file.words.subarray(0, (layout?.size ?? 0) >> 2);
    const atomics = layout === undefined ? [] : atomicRanges(wholeLayout(file, layout));
    if (atomics.length > 0) guardSleepers(buffer, () => this.#refuseToSleep());
    this.#transactional = rangesBetween(atomics, this.structBytes);
    this.#preImage = preImageOf(file, { bytes, structBytes: this.structBytes, preImageOffset, atomics });
    this.isSequenced = this.transactional && file.lockKind === "flock";
    this.plain =
      this.#preImage instanceof BlockPreImage && file.access === "write"
        ? new TrackedRegion(buffer, 0, this.structBytes, { traits, tracker: this.#preImage })
        : live;
  }

  #refuseToSleep(): void {
    const { path, isSuperseded } = this.file;
    if (isSuperseded)
      throw new SupersededError(
        path,
        `'${path}' was replaced while this thread waited for an atomic in it: take the atomic from the role's live again`,
      );
  }

  /** What the file says of its struct; undefined for a file of IPMMAP. @throws FileFormatError */
  get schema(): StructSchema | undefined {
    return this.file.footer && inFile().schemaInFile(this.file);
  }

  get transactional(): boolean {
    return this.#preImage !== undefined;
  }

  /** The committed struct, read-only, for as long as a lock keeps writers out. */
  get committed(): Region {
    const { file } = this;
    file.takeIn();
    if (!this.hasDeadWriter) {
      this.#deadWriters = undefined;
      return this.readable;
    }
    if (this.#preImage instanceof WholePreImage) return this.#saved;
    return this.#copyOfCommitted(file.sequence);
  }

  /** Of a state that lies nowhere in the file as a whole; kept, as each call of a session may ask for it. */
  #copyOfCommitted(sequence: number): Region {
    if (this.#deadWriters?.sequence === sequence) return this.#deadWriters.committed;
    const copy = new Uint8Array(this.structBytes);
    this.#preImage?.copy(sequence, copy, 0);
    const committed = new Region(copy.buffer, 0, this.structBytes, READ_ONLY);
    this.#deadWriters = { sequence, committed };
    return committed;
  }

  /** Under a lock: whether the last writer died before it could commit or roll back. */
  get hasDeadWriter(): boolean {
    return this.#preImage !== undefined && (this.file.sequence & 1) === 1;
  }

  /** The committed header's time stamp, seconds since 1970. */
  get timeStamp(): number {
    return this.#readCommitted(this.#timeStampOf);
  }

  readonly #timeStampOf = (sequence: number): number => {
    if (this.#isLive(sequence)) return this.readable.view.getFloat64(TIME_STAMP_AT, true);
    const copy = new Uint8Array(8);
    this.#preImage?.copy(sequence, copy, TIME_STAMP_AT);
    return new DataView(copy.buffer).getFloat64(0, true);
  };

  /** How many transactions were committed, up to the state that a snapshot gives; 0 in a file without a footer. */
  get version(): number {
    return this.file.footer === undefined ? 0 : this.#readCommitted(this.#versionOf);
  }

  readonly #versionOf = (sequence: number): number => {
    const { commits, before } = this.file.at;
    return this.file.loadVersion((sequence & 1) === 0 ? commits : before);
  };

  /** What commits change in files whose users need not count them: the count of those who do, the time stamp of others. */
  get mark(): string | undefined {
    return this.isSequenced ? undefined : `${this.version} ${this.timeStamp}`;
  }

  /** What `read` gives for the committed state; read again should that change meanwhile. */
  #readCommitted(read: (sequence: number) => number): number {
    const { file } = this;
    if (file.footer === undefined) {
      file.takeIn();
      return read(0);
    }
    // Only a writer that is busier than any could be is given up on, with a value that was right a moment ago.
    return readConsistent(file.words, file.at.sequence, read) ?? read(file.sequence);
  }

  #isLive(sequence: number): boolean {
    return (sequence & 1) === 0 || this.#preImage === undefined;
  }

  repair(): void {
    const { file } = this;
    const { sequence } = file;
    if ((sequence & 1) === 0) return;
    this.#preImage?.restore(sequence);
    file.copyVersion(file.at.before, file.at.commits);
    file.publish(file.at.sequence, (sequence | 1) + 1);
  }

  /** Starts a transaction. */
  begin(): void {
    const { file } = this;
    file.takeInToStore();
    if (file.footer === undefined) return;
    this.repair();
    const odd = file.sequence + 1;
    this.#preImage?.prepare(odd);
    file.copyVersion(file.at.commits, file.at.before);
    file.publish(file.at.sequence, odd);
    // What was published: on a runtime without mappings it may be another number.
    this.#preImage?.open(file.sequence);
  }

  /** To be called in a transaction before bytes of the struct are stored to by other means than views on `plain`. */
  willStore(byteOffset: number, byteLength: number): void {
    this.#preImage?.willStore(byteOffset, byteLength);
  }

  /** Makes the stores since `begin` the committed state. */
  commit(): void {
    const { file } = this;
    this.#preImage?.close();
    if (file.footer !== undefined) {
      file.countCommit();
      file.publish(file.at.sequence, file.sequence + 1);
    }
    file.giveOut();
  }

  /** Takes the stores since `begin` back. */
  rollBack(): void {
    const { file } = this;
    this.#preImage?.close();
    if (file.footer !== undefined) {
      this.#preImage?.restore(file.sequence);
      file.publish(file.at.sequence, file.sequence + 1);
    }
    file.giveOut();
  }

  /** The whole live struct in private memory, for files that keep no pre-image themselves. */
  saveLive(): Uint8Array {
    this.file.takeIn();
    return this.#live.slice();
  }

  /** Back to an earlier state, but for the atomics: other processes may have changed them since, without any lock. */
  restoreLive(earlier: Uint8Array): void {
    for (const { start, end } of this.#transactional) this.#live.set(earlier.subarray(start, end), start);
  }

  /**
   * Copies the last committed state, as far as the class knows it, to `target` without a lock; false when writers were
   * too busy for a whole copy, which cannot be with a lock held.
   */
  copyTo(target: Uint8Array): boolean {
    const { words, at } = this.file;
    return readConsistent(words, at.sequence, this.#copy, target) !== undefined;
  }

  /**
   * The same for a struct of whole words while no writer is at work, which is nearly always: words are copied without the
   * ArrayBuffer that bytes would need. For files that are sequenced.
   * @returns false when a writer is at work, or was all the time
   */
  copyLiveTo(target: Int32Array): boolean {
    const { words, at } = this.file;
    return readConsistent(words, at.sequence, this.#copyLive, target) === true;
  }

  readonly #copyLive = (sequence: number, target: Int32Array): boolean => {
    // Not by a function: it would be one call too deep to be compiled into the caller.
    if ((sequence & 1) === 1) return false;
    target.set(this.#liveWords);
    return true;
  };

  readonly #copy = (sequence: number, target: Uint8Array): true => {
    this.#copyRange(sequence, target, 0);
    return true;
  };

  /** Committed bytes from `start` on, as they are if the sequence is still the same afterwards. */
  #copyRange(sequence: number, target: Uint8Array, start: number): void {
    const end = Math.min(start + target.length, this.structBytes);
    if (this.#isLive(sequence)) target.set(this.#live.subarray(start, end));
    else this.#preImage?.copy(sequence, target.subarray(0, end - start), start);
  }

  /**
   * A part of the last committed state, without a lock; undefined when writers were too busy.
   * @throws what the part's own type throws for bytes that it cannot read
   */
  readPart(part: Part, layout: Layout): unknown {
    const { words, at } = this.file;
    if (part.read !== undefined) {
      this.#wholeViews ??= this.#viewsOf(layout);
      const value = readConsistent(words, at.sequence, this.#readInPlace, part);
      if (value instanceof Unreadable) throw value.cause;
      return value === MIXED ? undefined : value;
    }
    const copy = part.make();
    return readConsistent(words, at.sequence, this.#copyPart, copy) && copy.value;
  }

  #viewsOf(layout: Layout): WholeViews {
    const preImage = this.#saved.with(READ_ONLY | FRESH);
    return { live: this.view(layout, this.fresh), preImage: this.view(layout, preImage) };
  }

  readonly #readInPlace = (sequence: number, part: Part): unknown => {
    const { live, preImage } = this.#wholeViews as WholeViews;
    if (this.#isLive(sequence)) return readOf(part, live);
    const fromLive = this.#preImage instanceof BlockPreImage ? readOf(part, live) : undefined;
    const place = this.#preImage?.sideOf(sequence, part.reads.start, part.reads.end);
    if (place === "live") return fromLive;
    return place === "mixed" ? MIXED : readOf(part, preImage);
  };

  readonly #copyPart = (sequence: number, copy: PartMemory): true => {
    const { cells } = copy;
    if (cells === undefined || !this.#isLive(sequence)) this.#copyRange(sequence, copy.bytes, copy.start);
    else this.#copyWords(cells, copy.start / 4);
    return true;
  };

  #copyWords(target: Int32Array, first: number): void {
    const words = this.#liveWords;
    const { length } = target;
    if (length > WORDS_ONE_BY_ONE) target.set(words.subarray(first, first + length));
    else for (let i = 0; i < length; i++) target[i] = words[first + i] as number;
  }

  copyCommitted(isLocked: boolean): ContentCopy | undefined {
    const { file } = this;
    if (!this.isSequenced) return isLocked ? this.#copyAll(file.sequence) : undefined;
    return readConsistent(file.words, file.at.sequence, this.#copyAll);
  }

  readonly #copyAll = (sequence: number): ContentCopy => {
    const version = this.file.footer === undefined ? 0 : this.#versionOf(sequence);
    if (this.#isLive(sequence)) return { bytes: new Uint8Array(this.#live), version };
    const bytes = new Uint8Array(this.structBytes);
    this.#copyRange(sequence, bytes, 0);
    return { bytes, version };
  };

  applyCommitted({ bytes, version }: ContentCopy): void {
    const { file } = this;
    this.begin();
    this.willStore(0, this.structBytes);
    this.#live.set(bytes);
    this.#preImage?.close();
    file.storeVersion(file.at.commits, version);
    file.publish(file.at.sequence, file.sequence + 1);
    file.giveOut();
  }

  /** Zeroes the whole live struct, also what a class that is only a prefix of it does not know. The header code stays. */
  clearLive(): void {
    this.willStore(0, this.structBytes);
    this.#live.fill(0, HEADER_CODE_BYTES);
  }

  /** A view of the class on a region of the file. */
  view<T extends Struct>(layout: Layout, region: Region): T {
    return viewAt<T>(layout.cls as never, region, 0);
  }
}

/** What a part's getter gives of a view; it may see half of a store, so what it throws counts only if it was whole. */
function readOf({ read }: Part, view: object): unknown {
  try {
    return (read as NonNullable<Part["read"]>)(view);
  } catch (error) {
    return new Unreadable(error);
  }
}

function preImageOf(file: SegmentFile, plan: PreImagePlan): PreImage | undefined {
  const { footer } = file;
  if (!footer?.transactional) return undefined;
  const { blockBytes, marksOffset } = footer;
  if (blockBytes === 0) return new WholePreImage(plan);
  const first = marksOffset / 4;
  return new BlockPreImage({
    ...plan,
    blockBytes,
    marks: file.words.subarray(first, first + Math.ceil(plan.structBytes / blockBytes)),
    publish: (block, mark) => file.publish(first + block, mark),
  });
}

/** The layout of the file's struct: a class that is only a prefix of it does not know of all atomics. */
function wholeLayout(file: SegmentFile, layout: Layout): Layout {
  const isWhole = file.footer === undefined || isOfClass(layout, file);
  return isWhole ? layout : inFile().layoutBeside(layout, file);
}

function checkIpmmap(file: SegmentFile, place: Place, layout: Layout | undefined): void {
  const { lockPath } = place;
  const { path, bytes } = file;
  const code = `0x${HEADER_CODE.toString(16)}`;
  if (bytes[0] !== (HEADER_CODE & 0xff) || bytes[1] !== HEADER_CODE >> 8) {
    throw new FileFormatError(
      path,
      `'${path}' is no shared file: it has no footer of shmstruct, and does not begin with the header code ${code} of IPMMAP's; if you need nothing of it, delete it`,
    );
  }
  // Users of a file that lost its footer go by the flock; as a file of IPMMAP it would be used under the other lock.
  if (exists(lockPath.flock)) {
    throw new FileFormatError(
      path,
      `'${path}' has lost its footer (it had one, as there is '${lockPath.flock}'): it was truncated or overwritten; ${recreateHint(place)}`,
      true,
    );
  }
  if (layout === undefined || bytes.length >= layout.size) return;
  throw new FileFormatError(
    path,
    `'${path}' (${bytes.length} bytes) has no footer of shmstruct, and as a file of IPMMAP is too short for ${layout.name} (${layout.size} bytes): it holds another struct, or was truncated`,
    true,
  );
}
