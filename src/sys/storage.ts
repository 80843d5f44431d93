/**
 * Storage behind the holes of a file that will be mapped. Touching a hole takes storage at that moment; when the disk or
 * the tmpfs is full then, the kernel kills the process (SIGBUS), and no handler helps. Copies made by `cp --sparse`,
 * `rsync -S` or `tar -S` have holes.
 */
import { fs } from "./builtin.ts";
import { closeFile, makeFd } from "./descriptor.ts";
import { fallocate, fileSize } from "./file.ts";
import { cstring, lastErrno, systemError } from "./libc/call.ts";
import { E, FALLOC_FL_KEEP_SIZE, isLinux, O_CLOEXEC, O_RDWR, SEEK_HOLE } from "./libc/constants.ts";
import { libc } from "./libc/symbols.ts";
import type { Access } from "./mapping.ts";
import { throughFs } from "./paths.ts";
import { statusOf } from "./status.ts";

/** Of statfs(2). */
const TMPFS_MAGIC = 0x0102_1994;

/**
 * Gives storage to every byte of an open regular file, before it is mapped. One system call where there is no hole.
 * For reading it only matters on tmpfs, where looking at a hole takes memory, too. Nothing is promised where the file
 * system cannot reserve, on macOS, and when holes are punched into the file later.
 * @param access what the descriptor was opened for
 * @throws SystemError ENOSPC when there is no room; EACCES or EPERM for a reader that may not write to a file with holes
 * @example Mapping.map(fd, { byteLength, path, reserve: true });
 */
export function reserveStorage(fd: number, access: Access, path: string): void {
  if (!isLinux) return;
  if (access === "write") reserve(fd, path);
  else if (isSparse(fd) && isOnTmpfs(fd, path)) reserveForReader(fd, path);
}

function reserve(fd: number, path: string): void {
  const byteLength = fileSize(fd, path);
  if (byteLength === 0 || !hasHole(fd, byteLength)) return;
  const errno = fallocate(fd, 0, byteLength, FALLOC_FL_KEEP_SIZE);
  if (errno === 0 || errno === E.EOPNOTSUPP) return;
  throw systemError(
    "fallocate",
    errno,
    path,
    `the file has holes, as copies made with --sparse do, and needs storage for all of its ${byteLength} bytes: without it a store would kill the process`,
  );
}

/** Storage that was reserved, but never written to, counts as a hole here. */
function hasHole(fd: number, byteLength: number): boolean {
  const hole = libc().lseek(fd, 0, SEEK_HOLE);
  return hole < 0 || hole < byteLength;
}

/** Exact on tmpfs, which counts pages and nothing else. */
function isSparse(fd: number): boolean {
  const { byteLength, storageBytes } = statusOf(fd);
  return storageBytes < byteLength;
}

const isOnTmpfs = (fd: number, path: string): boolean =>
  throughFs(() => fs().statfsSync(`/proc/self/fd/${fd}`), path).type === TMPFS_MAGIC;

const HOLES =
  "the file has holes, and looking at one kills the process when memory is full; open it once for writing";

function reserveForReader(fd: number, path: string): void {
  const writable = makeFd(libc().open, [cstring(`/proc/self/fd/${fd}`), O_RDWR | O_CLOEXEC, 0]);
  if (writable < 0) {
    const errno = lastErrno();
    const mayNot = errno === E.EACCES || errno === E.EPERM || errno === E.EROFS;
    throw systemError("open", errno, path, mayNot ? HOLES : undefined);
  }
  try {
    reserve(writable, path);
  } finally {
    closeFile(writable);
  }
}
