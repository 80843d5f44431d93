/** From what a user types to an open segment. */
import { FileFormatError, ShmError } from "../errors/errors.ts";
import { escapeText } from "../errors/show.ts";
import type { ContentKind } from "../segment/footer.ts";
import type { EditingInspector, InspectOptions, Inspector, InspectorType } from "../segment/inspector.ts";
import { type ListedSegment, segmentAt } from "../segment/list.ts";
import { closeFile, openFile } from "../sys/file.ts";
import { O_NONBLOCK, O_RDONLY } from "../sys/libc/constants.ts";
import { absolutePath, exists } from "../sys/paths.ts";
import { statusAt } from "../sys/status.ts";
import { NotFoundError, numberOption, UsageError } from "./command.ts";

/** Where segments are as a rule. */
export const DIRECTORIES = ["./.mmap", "/dev/shm"] as const;

const ENDINGS = ["", ".mmap", "_.mmap", ".channel", "_.channel", ".queue", "_.queue"];

/**
 * The file that a name stands for: a path, or a file in `./.mmap` or `/dev/shm`, whose ending may be left out. A name without
 * a slash that several files have is refused: the wrong one may be removed.
 * @throws NotFoundError, UsageError
 * @example findFile("Robot") // "/home/me/app/.mmap/Robot_.mmap"
 */
export function findFile(name: string): string {
  if (name === "" || name.includes("\0")) throw new UsageError("the name of a file is empty, or no name");
  const isPath = name.includes("/") && exists(name);
  const found = isPath ? [absolutePath(".", name)] : candidates(name);
  const [path, other] = found;
  if (path === undefined)
    throw new NotFoundError(
      `there is no '${escapeText(name)}', and no segment of that name in ${DIRECTORIES.join(" or ")}: see shmstruct ls`,
    );
  if (other === undefined) return path;
  throw new UsageError(
    `'${escapeText(name)}' may be ${found.map((one) => `'${escapeText(one)}'`).join(" or ")}: give the path`,
  );
}

function candidates(name: string): string[] {
  const here = exists(name) ? [absolutePath(".", name)] : [];
  const bare = name.replace(/^\//, "");
  if (bare.includes("/")) return here;
  const known = DIRECTORIES.flatMap((directory) =>
    ENDINGS.map((ending) => absolutePath(directory, bare + ending)),
  );
  return [...new Set([...here, ...known.filter(exists)])];
}

/** @throws FileFormatError for a device, a FIFO, a directory … */
function checkRegular(path: string): void {
  if (statusAt(path)?.isFile !== false) return;
  throw new FileFormatError(path, `'${escapeText(path)}' is no regular file, so it is no segment`);
}

/** What the footer of a file says, be it damaged. @throws NotFoundError, FileFormatError for what is no segment, SystemError EACCES */
export function describeAny(name: string): ListedSegment {
  const path = findFile(name);
  const segment = segmentAt(path);
  if (segment !== undefined) return segment;
  checkRegular(path);
  // Who may not read it is told so.
  closeFile(openFile(path, O_RDONLY | O_NONBLOCK));
  throw new FileFormatError(
    path,
    `'${escapeText(path)}' is no shared file with a description in it: it was truncated, or is another program's`,
  );
}

/** What the footer of a file says. @throws NotFoundError, FileFormatError for what is no segment, or damaged */
export function describeFile(name: string): ListedSegment & { readonly kind: ContentKind } {
  const segment = describeAny(name);
  const { kind, path, problem } = segment;
  if (kind !== undefined) return { ...segment, kind };
  throw new FileFormatError(path, problem ?? `'${escapeText(path)}' is damaged`);
}

interface Room {
  readonly load: () => InspectorType;
  /** The version in the footer does not tell: a listing loads the room for it. */
  readonly counts?: true;
}

/** Each room opens its own content; only what is looked at is loaded. */
const rooms: Readonly<Record<ContentKind, Room>> = {
  record: { load: () => record().recordInspector },
  document: { load: () => document().documentInspector },
  channel: { load: () => channel().channelInspector, counts: true },
  queue: { load: () => queue().queueInspector, counts: true },
};
const record = (): typeof import("../record/inspect.ts") => require("../record/inspect.ts");
const document = (): typeof import("../document/inspect.ts") => require("../document/inspect.ts");
const channel = (): typeof import("../channel/inspect.ts") => require("../channel/inspect.ts");
const queue = (): typeof import("../queue/inspect.ts") => require("../queue/inspect.ts");

/** Values of the options that all commands have which open a file. */
export interface OpenValues {
  readonly shared?: boolean | undefined;
  readonly "trust-owner"?: string | undefined;
  readonly timeout?: string | undefined;
}

/** Files of many fields can be shown; a hostile one still cannot take long. */
export const LIMITS = { members: 20_000, classes: 2048 } as const;

export function openOptions(values: OpenValues): InspectOptions {
  return {
    shared: values.shared,
    trustOwner: numberOption("trust-owner", values["trust-owner"]),
    timeoutMs: numberOption("timeout", values.timeout),
  };
}

/** Opens any segment to look at it. @throws NotFoundError, FileFormatError, UntrustedFileError, SystemError */
export function openInspector(name: string, values: OpenValues): Inspector {
  const { path, kind } = describeFile(name);
  return rooms[kind].load().read(path, { ...openOptions(values), limits: LIMITS });
}

/**
 * Opens any segment to write.
 * @throws NotFoundError, FileFormatError, UntrustedFileError, SystemError; UnsupportedError for contents that are not
 *   set
 */
export function openForWriting(name: string, values: OpenValues): EditingInspector {
  const { path, kind } = describeFile(name);
  return rooms[kind].load().write(path, { ...openOptions(values), limits: LIMITS });
}

/** What the room of a file can do with it. @throws NotFoundError, FileFormatError */
export function roomOf(name: string): {
  readonly path: string;
  readonly kind: ContentKind;
  readonly room: InspectorType;
} {
  const { path, kind } = describeFile(name);
  return { path, kind, room: rooms[kind].load() };
}

/**
 * What removes a file, be it damaged, truncated or of another format: where its footer does not tell what it holds, its name
 * does. The room keeps what is another program's, and an empty file may be any program's.
 * @throws NotFoundError, FileFormatError
 */
export function removerOf(name: string): { readonly path: string; readonly room: InspectorType } {
  const path = findFile(name);
  checkRegular(path);
  if (statusAt(path)?.byteLength === 0)
    throw new FileFormatError(
      path,
      `'${escapeText(path)}' is empty: it was truncated, or another program made it, so it is left alone; if no program needs it, delete it with rm(1)`,
    );
  const kind = segmentAt(path)?.kind ?? kindByEnding(path);
  return { path, room: rooms[kind].load() };
}

const ENDING_KINDS: Readonly<Record<string, ContentKind>> = {
  ".mmap": "record",
  ".channel": "channel",
  ".queue": "queue",
};

/** Documents have any name. */
const kindByEnding = (path: string): ContentKind =>
  ENDING_KINDS[path.slice(path.lastIndexOf("."))] ?? "document";

/** The path that a name stands for, whether there is a file or not. */
export function pathOf(name: string): string {
  try {
    return findFile(name);
  } catch (error) {
    if (error instanceof NotFoundError) return absolutePath(".", name);
    throw error;
  }
}

/** A segment of a listing with the version that its content has; a file that may not be opened keeps the footer's. */
export function withVersion(segment: ListedSegment): ListedSegment {
  const { path, kind, state } = segment;
  const room = kind === undefined ? undefined : rooms[kind];
  const isReadable = state !== "damaged" && state !== "leftover";
  const version = room?.counts && isReadable ? room.load().version : undefined;
  if (version === undefined) return segment;
  try {
    return { ...segment, version: version(path, {}) };
  } catch (error) {
    if (error instanceof ShmError) return segment;
    throw error;
  }
}
