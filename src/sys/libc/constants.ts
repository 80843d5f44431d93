/**
 * Constants of the C headers, per platform. Linux values are those of x86-64 and arm64 (they agree on all
 * of these but the syscall numbers and O_NOFOLLOW); macOS values are written down from its headers and untested.
 */
import { os } from "../builtin.ts";

/** Where this process runs, as far as libc is concerned. */
export const isLinux = process.platform === "linux";
export const isMacOS = process.platform === "darwin";
const isArm64 = process.arch === "arm64";

const pick = (linux: number, macos: number): number => (isMacOS ? macos : linux);

// <limits.h>
/** Also the most milliseconds that poll(2) and `setTimeout` take: 24 days. */
export const INT_MAX = 2 ** 31 - 1;

// <fcntl.h>
/** open(2): for reading only. */
export const O_RDONLY = 0;
/** open(2): for writing only. */
export const O_WRONLY = 1;
/** open(2): for reading and writing. */
export const O_RDWR = 2;
/** open(2), shm_open(3), sem_open(3), mq_open(3): make it if it is not there. */
export const O_CREAT = pick(0o100, 0x200);
/** open(2), shm_open(3), sem_open(3), mq_open(3): with `O_CREAT`, fail with EEXIST if it is there. */
export const O_EXCL = pick(0o200, 0x800);
/** open(2), shm_open(3): cut it down to 0 bytes. */
export const O_TRUNC = pick(0o1000, 0x400);
/** open(2), mq_open(3): fail with EAGAIN instead of waiting. */
export const O_NONBLOCK = pick(0o4000, 0x4);
/** open(2): fail with ELOOP if the last part of the path is a symbolic link. */
export const O_NOFOLLOW = pick(isArm64 ? 0o100000 : 0o400000, 0x100);
/** open(2): programs started from this one do not inherit the descriptor. */
export const O_CLOEXEC = pick(0o2000000, 0x1000000);
export const F_DUPFD_CLOEXEC = pick(1030, 67);
export const F_GETFD = 1;
export const F_GETFL = 3;
export const F_SETFL = 4;
/** Which thread an open file description is for (Linux). */
export const F_SETOWN_EX = 15;
export const F_GETOWN_EX = 16;
export const F_OWNER_TID = 0;
export const F_RDLCK = pick(0, 1);
export const F_UNLCK = 2;
export const F_WRLCK = pick(1, 3);
/** Locks that belong to the open file description, not to the process (Linux 3.15, macOS 10.15). */
export const F_OFD_SETLK = pick(37, 90);
export const F_OFD_SETLKW = pick(38, 91);

// <unistd.h>
export const SEEK_SET = 0;
export const SEEK_CUR = 1;
export const SEEK_END = 2;
export const SEEK_HOLE = pick(4, 3);
/** <linux/falloc.h>: storage only, the length stays. */
export const FALLOC_FL_KEEP_SIZE = 1;

// <sys/file.h>
export const LOCK_SH = 1;
export const LOCK_EX = 2;
export const LOCK_NB = 4;
export const LOCK_UN = 8;

// <sys/mman.h>
/** mmap(2): the pages may be read. */
export const PROT_READ = 1;
/** mmap(2): the pages may be written to. */
export const PROT_WRITE = 2;
/** mmap(2): the pages may be executed. */
export const PROT_EXEC = 4;
/** mmap(2): stores are seen by all who map the file, and reach it. */
export const MAP_SHARED = 1;
/** mmap(2): stores stay in this process, and never reach the file. */
export const MAP_PRIVATE = 2;
/** mmap(2): at the very address that is given, whatever is there. */
export const MAP_FIXED = 0x10;
/** mmap(2): the same, unless something is there. */
export const MAP_FIXED_NOREPLACE = pick(0x10_0000, 0);
/** mmap(2): memory of zeros, without a file. */
export const MAP_ANONYMOUS = pick(0x20, 0x1000);
/** mmap(2): reserve no swap space, so that a store may fail for want of memory. */
export const MAP_NORESERVE = pick(0x4000, 0x40);
/** mmap(2): read all pages in at once; nothing on macOS. */
export const MAP_POPULATE = pick(0x8000, 0);
export const MS_SYNC = pick(4, 0x10);
/** mmap(2): `MAP_ANONYMOUS` by its older name. */
export const MAP_ANON = MAP_ANONYMOUS;
/** mmap(2): ignored; nothing on macOS. */
export const MAP_DENYWRITE = pick(0x800, 0);
/** mmap(2): ignored; nothing on macOS. */
export const MAP_EXECUTABLE = pick(0x1000, 0);
/** mmap(2): keep the pages in memory, as mlock(2); nothing on macOS. */
export const MAP_LOCKED = pick(0x2000, 0);
/** mmap(2): for a stack, which Linux takes as any memory; nothing on macOS. */
export const MAP_STACK = pick(0x20000, 0);
// Advice that a platform does not know is -1, which madvise refuses with EINVAL.
/** madvise(2): no advice. */
export const MADV_NORMAL = 0;
/** madvise(2): reads in random order, so read nothing ahead. */
export const MADV_RANDOM = 1;
/** madvise(2): reads in order, so read far ahead and let go soon. */
export const MADV_SEQUENTIAL = 2;
/** madvise(2): needed soon, so read it in. */
export const MADV_WILLNEED = 3;
/** madvise(2): let go of the pages now; private memory reads as zeros afterwards. */
export const MADV_DONTNEED = 4;
/** madvise(2): the pages may be freed when memory is short. */
export const MADV_FREE = pick(8, 5);
/** madvise(2): free the pages and what holds them, as a hole in the file (Linux). */
export const MADV_REMOVE = pick(9, -1);
/** madvise(2): a child of fork(2) does not get the pages (Linux). */
export const MADV_DONTFORK = pick(10, -1);
/** madvise(2): undoes `MADV_DONTFORK` (Linux). */
export const MADV_DOFORK = pick(11, -1);
/** madvise(2): pages of the same content may become one (Linux). */
export const MADV_MERGEABLE = pick(12, -1);
/** madvise(2): undoes `MADV_MERGEABLE` (Linux). */
export const MADV_UNMERGEABLE = pick(13, -1);
/** madvise(2): use huge pages (Linux). */
export const MADV_HUGEPAGE = pick(14, -1);
/** madvise(2): use no huge pages (Linux). */
export const MADV_NOHUGEPAGE = pick(15, -1);
/** madvise(2): leave the pages out of core dumps (Linux). */
export const MADV_DONTDUMP = pick(16, -1);
/** madvise(2): undoes `MADV_DONTDUMP` (Linux). */
export const MADV_DODUMP = pick(17, -1);
/** madvise(2): first to go when memory is short (Linux 5.4). */
export const MADV_COLD = pick(20, -1);
/** madvise(2): write the pages out and free them now (Linux 5.4). */
export const MADV_PAGEOUT = pick(21, -1);
/** madvise(2): read all pages in, as if each was read (Linux 5.14). */
export const MADV_POPULATE_READ = pick(22, -1);
/** madvise(2): make all pages writable, as if each was stored to (Linux 5.14). */
export const MADV_POPULATE_WRITE = pick(23, -1);

// <linux/futex.h>, <sys/syscall.h>
export const FUTEX_WAIT = 0;
export const FUTEX_WAKE = 1;
export const FUTEX_REQUEUE = 3;
export const FUTEX_WAIT_BITSET = 9;
export const FUTEX_WAKE_BITSET = 10;
export const SYS_futex = isArm64 ? 98 : 202;
export const SYS_gettid = isArm64 ? 178 : 186;

// <linux/io_uring.h>, <sys/syscall.h>
export const SYS_io_uring_setup = 425;
export const SYS_io_uring_enter = 426;
export const SYS_io_uring_register = 427;
export const IORING_SETUP_CQSIZE = 1 << 3;
export const IORING_REGISTER_PROBE = 8;
export const IO_URING_OP_SUPPORTED = 1;
export const IORING_OFF_SQ_RING = 0;
export const IORING_OFF_SQES = 0x1000_0000;
export const IORING_FEAT_SINGLE_MMAP = 1;
export const IORING_ENTER_GETEVENTS = 1;
export const IORING_SQ_CQ_OVERFLOW = 2;
export const IORING_OP_TIMEOUT = 11;
export const IORING_OP_ASYNC_CANCEL = 14;
export const IORING_OP_SEND = 26;
export const IORING_OP_FUTEX_WAIT = 51;
export const IORING_OP_FUTEX_WAKE = 52;
export const IORING_TIMEOUT_ABS = 1;
/** That the time is over is a success, after which a linked request begins. */
export const IORING_TIMEOUT_ETIME_SUCCESS = 1 << 5;
/** The next request begins when this one has succeeded. */
export const IOSQE_IO_LINK = 1 << 2;
/** The next request begins when this one has ended. */
export const IOSQE_IO_HARDLINK = 1 << 3;
export const IOSQE_CQE_SKIP_SUCCESS = 1 << 6;
/** <linux/futex.h>: a word of 32 bits that several processes map. */
export const FUTEX2_SIZE_U32 = 2;

// <sys/socket.h>
export const AF_UNIX = 1;
export const SOCK_STREAM = 1;
export const SOCK_NONBLOCK = O_NONBLOCK;
export const SOCK_CLOEXEC = O_CLOEXEC;
export const MSG_DONTWAIT = pick(0x40, 0x80);
export const MSG_NOSIGNAL = pick(0x4000, 0x80000);

// <sys/stat.h>, <sys/syscall.h>
export const AT_FDCWD = -100;
export const AT_EMPTY_PATH = 0x1000;
export const STATX_BASIC_STATS = 0x7ff;
export const SYS_statx = isArm64 ? 291 : 332;

/** <errno.h>: the errno numbers that mean something to us, by name (`E.EAGAIN`). */
export const E = {
  EPERM: 1,
  ENOENT: 2,
  EINTR: 4,
  EBADF: 9,
  EAGAIN: pick(11, 35),
  ENOMEM: 12,
  EACCES: 13,
  EBUSY: 16,
  EEXIST: 17,
  ENODEV: 19,
  EINVAL: 22,
  EMFILE: 24,
  EFBIG: 27,
  ENOSPC: 28,
  EROFS: 30,
  ELOOP: pick(40, 62),
  ENOSYS: pick(38, 78),
  EOVERFLOW: pick(75, 84),
  EPROTONOSUPPORT: pick(93, 43),
  EOPNOTSUPP: pick(95, 102),
  ECANCELED: pick(125, 89),
  EAFNOSUPPORT: pick(97, 47),
  ETIMEDOUT: pick(110, 60),
} as const;

let names: Map<number, string> | undefined;

/** All names that the platform has. */
function errnoNames(): Map<number, string> {
  const { errno } = os().constants;
  // EAGAIN and EWOULDBLOCK (EOPNOTSUPP and ENOTSUP) share a number; libc's own text uses the first.
  const numbers = Object.entries(errno).toReversed();
  return new Map([...numbers.map(([name, number]) => [number, name] as const), [errno.EAGAIN, "EAGAIN"]]);
}

/** `errnoName(28) === "ENOSPC"`; `"E999"` for a number the platform does not know. */
export function errnoName(errno: number): string {
  names ??= errnoNames();
  return names.get(errno) ?? `E${errno}`;
}

/** Size of a memory page in bytes: mappings start at multiples of it. */
export const SC_PAGESIZE = pick(30, 29);
