/** What the kernel knows of a file: statx(2), whose struct is the same on every processor and in every libc. */
import type { BigIntStats } from "node:fs";
import { SystemError } from "../errors/errors.ts";
import { fs } from "./builtin.ts";
import { cstring } from "./libc/call.ts";
import { AT_EMPTY_PATH, AT_FDCWD, isLinux, STATX_BASIC_STATS, SYS_statx } from "./libc/constants.ts";
import { addressOf } from "./libc/ffi.ts";
import { linux, statxCall } from "./libc/symbols.ts";
import { throughFs } from "./paths.ts";

export interface FileStatus {
  /** It is a regular file: no directory, pipe, socket or device. */
  readonly isFile: boolean;
  readonly byteLength: number;
  /** How much the file takes on the disk, or in memory: less than `byteLength` when it has holes. */
  readonly storageBytes: number;
  /** Permission bits. */
  readonly mode: number;
  /** The user id of its owner. */
  readonly owner: number;
  /** How many names it has: 0 once it was deleted. */
  readonly links: number;
  /** Device and inode, which tell it from all other files that there are. */
  readonly id: string;
}

/**
 * struct statx, of which we read
 *
 *     16      20    24    28     32     40     48       56    136       140       144   256
 *     | nlink | uid |     | mode |  ino | size | blocks |     | dev     | dev     |     |
 *     | u32   | u32 |     | u16  |  u64 | u64  | u64    |     | major   | minor   |     |
 */
const answer = new DataView(new ArrayBuffer(256));
const AT = {
  links: 16,
  owner: 20,
  mode: 28,
  inode: 32,
  byteLength: 40,
  blocks: 48,
  deviceMajor: 136,
  deviceMinor: 140,
} as const;

/** The unit of `blocks`, whatever the file system's own is. */
const BLOCK_BYTES = 512;

const FILE_TYPE = 0o170000;
const REGULAR_FILE = 0o100000;
const PERMISSIONS = 0o7777;

/**
 * Of an open file.
 * @throws SystemError EBADF
 */
export function statusOf(fd: number): FileStatus {
  // Where there is no statx, or it fails, node:fs answers, or says why not.
  if (statx(fd, "", AT_EMPTY_PATH)) return readAnswer();
  return fromNode(throughFs(() => fs().fstatSync(fd, { bigint: true })));
}

/**
 * Of what is at a path, symbolic links followed; undefined when there is nothing.
 * @throws SystemError EACCES, ELOOP …
 */
export function statusAt(path: string): FileStatus | undefined {
  if (statx(AT_FDCWD, path, 0)) return readAnswer();
  const stats = throughFs(() => fs().statSync(path, { bigint: true, throwIfNoEntry: false }));
  return stats && fromNode(stats);
}

/** struct statfs, of which we read the first word, `f_type`. */
const fileSystemAnswer = new BigInt64Array(16);

/** What kind of file system an open file is on: its magic number (statfs(2)); 0 where that cannot be told. */
export function fileSystemOf(fd: number): number {
  // SAFETY: the kernel writes the 120 bytes of struct statfs, and the array has 128.
  return isLinux && linux().fstatfs(fd, fileSystemAnswer) === 0 ? Number(fileSystemAnswer[0]) : 0;
}

/** How soon after the last look a deleted file is noticed: at every use it would cost as much as the use itself. */
export const LOOK_FOR_DELETED_MS = 100;

/**
 * Whether an open file was deleted, or another one put in its place: the next who opens the path gets that one.
 * A file that was only moved away still is the one that everybody has. One call where nothing is wrong.
 * @throws SystemError EBADF
 */
export function isUnlinkedOrReplaced(fd: number, path: string, id: string): boolean {
  const there = idAt(path);
  return there === undefined ? statusOf(fd).links === 0 : there !== id;
}

/** Undefined also where we may not look any more. */
function idAt(path: string): string | undefined {
  // Asked at each write of a JsonMap: only what is needed is read.
  if (statx(AT_FDCWD, path, 0)) return readId();
  try {
    return statusAt(path)?.id;
  } catch (error) {
    if (error instanceof SystemError) return undefined;
    throw error;
  }
}

/** The path that was asked for last, and as C wants it: who looks again and again looks at the same. */
let known = { path: "", cpath: cstring("") };

/** Whether there is an `answer`. */
function statx(directory: number, path: string, flags: number): boolean {
  if (!isLinux) return false;
  if (path !== known.path) known = { path, cpath: cstring(path) };
  // SAFETY: the kernel reads the path up to its NUL, and writes the 256 bytes of `answer`, which lives as long as the thread.
  const result = statxCall().syscall(
    SYS_statx,
    directory,
    known.cpath,
    flags,
    STATX_BASIC_STATS,
    addressOf(answer),
  );
  return result >= 0;
}

function readAnswer(): FileStatus {
  const mode = answer.getUint16(AT.mode, true);
  return {
    isFile: (mode & FILE_TYPE) === REGULAR_FILE,
    byteLength: Number(answer.getBigUint64(AT.byteLength, true)),
    storageBytes: Number(answer.getBigUint64(AT.blocks, true)) * BLOCK_BYTES,
    mode: mode & PERMISSIONS,
    owner: answer.getUint32(AT.owner, true),
    links: answer.getUint32(AT.links, true),
    id: readId(),
  };
}

const readId = (): string =>
  `${answer.getUint32(AT.deviceMajor, true)}:${answer.getUint32(AT.deviceMinor, true)}:${answer.getBigUint64(AT.inode, true)}`;

const fromNode = ({ mode, size, blocks, uid, nlink, dev, ino }: BigIntStats): FileStatus => ({
  isFile: (Number(mode) & FILE_TYPE) === REGULAR_FILE,
  byteLength: Number(size),
  storageBytes: Number(blocks) * BLOCK_BYTES,
  mode: Number(mode) & PERMISSIONS,
  owner: Number(uid),
  links: Number(nlink),
  id: `${dev}:${ino}`,
});
