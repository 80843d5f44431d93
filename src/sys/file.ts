/** Files as the kernel sees them: open, size, storage, close. Thin wrappers that turn failures into `SystemError`. */
import { fs } from "./builtin.ts";
import { closeFile, makeFd } from "./descriptor.ts";
import { check, cstring, lastErrno, systemError } from "./libc/call.ts";
import {
  E,
  FALLOC_FL_KEEP_SIZE,
  isLinux,
  O_CLOEXEC,
  O_CREAT,
  O_EXCL,
  O_NOFOLLOW,
  O_RDONLY,
  SC_PAGESIZE,
  SEEK_END,
} from "./libc/constants.ts";
import { libc, linux } from "./libc/symbols.ts";

export { closeFile } from "./descriptor.ts";

/**
 * Opens a file and returns its descriptor. Never follows a symbolic link in the last part of the path, and the
 * descriptor does not leak into child processes, nor out of a worker that is terminated.
 * @param flags `O_RDONLY`, `O_RDWR | O_CREAT | O_EXCL` … (open(2)); `O_CLOEXEC | O_NOFOLLOW` are added
 * @param mode permissions of a file that is created, before the umask
 * @throws SystemError with the path: ENOENT, EACCES, EEXIST, ELOOP for a symbolic link …
 * @example const fd = openFile("data.bin", O_RDWR);
 */
export function openFile(path: string, flags: number, mode = 0o600): number {
  const errno = tryOpen(path, flags, mode);
  if (errno <= 0) return -errno;
  throw systemError("open", errno, path, errno === E.ELOOP ? loopHint(path) : undefined);
}

/** The path's last part is a link, or those before it go round in a circle. */
function loopHint(path: string): string {
  try {
    if (fs().lstatSync(path).isSymbolicLink()) return "symbolic links are not followed";
  } catch {
    // The directories are what cannot be followed.
  }
  return "the symbolic links of its directories lead to each other";
}

/**
 * The negated descriptor, or else the positive errno.
 *
 * O_CREAT is left out at first: with fs.protected_regular Linux refuses it for a file of another user in a sticky directory,
 * although the file is there and may be opened.
 */
function tryOpen(path: string, flags: number, mode: number): number {
  const cpath = cstring(path);
  const all = flags | O_CLOEXEC | O_NOFOLLOW;
  const mayExist = (flags & (O_CREAT | O_EXCL)) === O_CREAT;
  if (!mayExist) return openOnce(cpath, all, mode);
  const found = openOnce(cpath, all & ~O_CREAT, mode);
  if (found !== E.ENOENT) return found;
  const made = openOnce(cpath, all, mode);
  // Another process may have made it in between.
  if (made !== E.EACCES) return made;
  const again = openOnce(cpath, all & ~O_CREAT, mode);
  return again === E.ENOENT ? made : again;
}

function openOnce(cpath: Buffer, flags: number, mode: number): number {
  const fd = makeFd(libc().open, [cpath, flags, mode]);
  return fd >= 0 ? -fd : lastErrno();
}

/**
 * The file's size in bytes, now; 190 ns. It moves the descriptor's offset to the end of the file, so it is for
 * descriptors that only we use; ask `statusOf(fd).byteLength` about those that a user gave.
 * @throws SystemError EBADF, or ESPIPE for what has no size
 */
export function fileSize(fd: number, path?: string): number {
  return check("lseek", libc().lseek(fd, 0, SEEK_END), path);
}

/**
 * Reads the file's first bytes into `bytes`, wherever the descriptor's offset is.
 * @returns how many there were
 * @throws SystemError EBADF, EISDIR, EIO …
 */
export function readStart(fd: number, bytes: Uint8Array, path?: string): number {
  // SAFETY: the kernel writes at most so many bytes as `bytes` has.
  return check("pread", libc().pread(fd, bytes, bytes.byteLength, 0), path);
}

/**
 * Reads into `bytes` from a place in the file, wherever the descriptor's offset is.
 * @returns how many bytes there were
 * @throws SystemError EBADF, EISDIR, EIO …
 */
export function readAt(fd: number, bytes: Uint8Array, byteOffset: number, path?: string): number {
  // SAFETY: the kernel writes at most so many bytes as `bytes` has.
  return check("pread", libc().pread(fd, bytes, bytes.byteLength, byteOffset), path);
}

/**
 * The text of a small file: of its first 4096 bytes. Takes a fraction of the time that node:fs takes to load.
 * @throws SystemError ENOENT, EACCES …
 * @example Number(readText("/proc/sys/fs/mqueue/msg_max"))
 */
export function readText(path: string): string {
  const fd = openFile(path, O_RDONLY);
  try {
    const bytes = Buffer.alloc(4096);
    return bytes.toString("utf8", 0, readStart(fd, bytes, path));
  } finally {
    closeFile(fd);
  }
}

/**
 * Makes the file at least `byteLength` long, with storage behind every byte: on a full disk or tmpfs it fails
 * here, where `ftruncate` succeeds and the first store through a mapping then kills the process. Never shrinks; when it
 * fails, the file is as it was. File systems that cannot reserve (and macOS) only get the length.
 * @param from leaves what comes before as it is, holes too, and only sees to the bytes from here on
 * @throws SystemError ENOSPC, EFBIG, EBADF (not open for writing) … (fallocate(2))
 */
export function allocate(fd: number, byteLength: number, path?: string, from = 0): void {
  if (byteLength <= from) return;
  // Storage first, then the length: a disk that fills up halfway (ext4 keeps what it got) must not leave a longer file.
  const errno = fallocate(fd, from, byteLength, FALLOC_FL_KEEP_SIZE) || fallocate(fd, from, byteLength, 0);
  if (errno === 0) return;
  const byteLengthNow = fileSize(fd, path);
  if (errno !== E.EOPNOTSUPP) {
    // Gives back the storage behind the end.
    if (byteLength > byteLengthNow) libc().ftruncate(fd, byteLengthNow);
    throw systemError("fallocate", errno, path, `${byteLength} bytes wanted`);
  }
  if (byteLengthNow < byteLength) truncate(fd, byteLength, path);
}

/**
 * fallocate(2) of the bytes from `from` to `end`, again when a signal interrupts it. Not posix_fallocate(3): where the
 * file system cannot reserve, glibc writes into the file, over what others store meanwhile.
 * @returns the errno, 0 for success
 */
export function fallocate(fd: number, from: number, end: number, mode: number): number {
  if (!isLinux) return E.EOPNOTSUPP;
  for (;;) {
    if (linux().fallocate(fd, mode, from, end - from) === 0) return 0;
    const errno = lastErrno();
    if (errno !== E.EINTR) return errno;
  }
}

/**
 * Sets the file's length, cutting it or adding a hole that reads as zeros. Cutting a file that anybody has mapped
 * kills them at their next touch: only for files that are known to be unmapped.
 * @throws SystemError EINVAL, EBADF (not open for writing) …
 */
export function truncate(fd: number, byteLength: number, path?: string): void {
  check("ftruncate", libc().ftruncate(fd, byteLength), path);
}

let knownPageSize = 0;

/**
 * Bytes in a page of memory (4096 on most machines, 16384 on Apple's): file offsets of mappings are multiples of it.
 * As sysconf(3) with _SC_PAGESIZE, and `mmap.PAGESIZE` in Python.
 * @throws UnsupportedError outside Linux and macOS
 * @example new MemoryMap("data.bin", 0, { offset: 2 * pageSize() });
 */
export function pageSize(): number {
  knownPageSize ||= check("sysconf", libc().sysconf(SC_PAGESIZE));
  return knownPageSize;
}
