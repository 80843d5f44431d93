/**
 * libc, each symbol with its C prototype beside it. A table is opened at its first use, so that importing the library
 * costs nothing and an unsupported platform says so once, clearly.
 */
import { UnsupportedError } from "../../errors/errors.ts";
import { isLinux, isMacOS } from "./constants.ts";
import { type CFunction, openLibrary, type Symbols } from "./ffi.ts";

/** glibc's name comes first: a disk may hold the file of another libc, and loading that one too would crash. */
const LINUX_NAMES = ["libc.so.6", `libc.musl-${process.arch === "x64" ? "x86_64" : "aarch64"}.so.1`];

let musl: boolean | undefined;

/** Whether the libc of this process is musl (Alpine), which differs from glibc in a few documented ways. */
export function isMusl(): boolean {
  musl ??= isLinux && !hasGlibcVersion();
  return musl;
}

/** glibc has this function. musl answers to the name `libc.so.6` as well, but lacks it. */
function hasGlibcVersion(): boolean {
  try {
    // const char *gnu_get_libc_version(void);
    openLibrary(LINUX_NAMES[0]!, { gnu_get_libc_version: { args: [], returns: "ptr" } });
    return true;
  } catch {
    return false;
  }
}

/** The names under which the C library may be loaded here, most likely first. */
function libraryNames(): string[] {
  if (isMacOS) return ["libSystem.B.dylib"];
  if (!isLinux || !["x64", "arm64"].includes(process.arch)) {
    throw new UnsupportedError(
      `shmstruct runs on Linux (x64, arm64) and, untested, on macOS; this is ${process.platform} ${process.arch}`,
    );
  }
  return LINUX_NAMES;
}

function open<const T extends Record<string, CFunction>>(
  table: T,
  otherNames: readonly string[] = [],
): Symbols<T> {
  const names = [...libraryNames(), ...otherNames];
  let cause: unknown;
  for (const name of names) {
    try {
      return openLibrary(name, table);
    } catch (error) {
      // What the first, the likeliest, had to say: the others are missing on most machines.
      cause ??= error;
    }
  }
  throw new UnsupportedError(
    `cannot load ${Object.keys(table).join(", ")} from ${names.join(" or ")}: ${String(cause)}${isWithoutJit() ? WITHOUT_JIT : ""}`,
  );
}

const WITHOUT_JIT =
  "; Bun's FFI library needs the JIT, which the environment variable BUN_JSC_useJIT turns off: unset it";

function isWithoutJit(): boolean {
  const { BUN_JSC_useJIT: jit = "" } = process.env;
  return ["0", "false", "no"].includes(jit);
}

let errnoAddress: number | undefined;

/** Where this thread's errno lives. Known before the first call that may fail, as finding it may change errno. */
export function errnoLocation(): number {
  errnoAddress ??= Number(
    isMacOS
      ? // int *__error(void);
        open({ __error: { args: [], returns: "ptr" } }).__error()
      : // int *__errno_location(void);
        open({ __errno_location: { args: [], returns: "ptr" } }).__errno_location(),
  );
  return errnoAddress;
}

/**
 * A function that opens the table at its first call and keeps it.
 * @param otherNames libraries to try after libc: before 2.34 glibc kept some of POSIX apart
 */
export function lazily<const T extends Record<string, CFunction>>(
  table: T,
  otherNames: readonly string[] = [],
): () => Symbols<T> {
  let symbols: Symbols<T> | undefined;
  return () => {
    if (symbols === undefined) {
      errnoLocation();
      symbols = open(table, otherNames);
    }
    return symbols;
  };
}

/** What every part of the library needs. */
export const libc = lazily({
  // int open(const char *pathname, int flags, mode_t mode);
  open: { args: ["ptr", "i32", "u32"], returns: "i32" },
  // int close(int fd);
  close: { args: ["i32"], returns: "i32" },
  // int ftruncate(int fd, off_t length);
  ftruncate: { args: ["i32", "i64"], returns: "i32" },
  // off_t lseek(int fd, off_t offset, int whence);
  lseek: { args: ["i32", "i64", "i32"], returns: "i64", isTrusted: true },
  // ssize_t pread(int fd, void *buf, size_t count, off_t offset);
  pread: { args: ["i32", "ptr", "u64", "i64"], returns: "i64" },
  // void *mmap(void *addr, size_t length, int prot, int flags, int fd, off_t offset);
  mmap: { args: ["ptr", "u64", "i32", "i32", "i32", "i64"], returns: "ptr" },
  // int munmap(void *addr, size_t length);
  munmap: { args: ["ptr", "u64"], returns: "i32" },
  // int msync(void *addr, size_t length, int flags);
  msync: { args: ["ptr", "u64", "i32"], returns: "i32" },
  // int madvise(void *addr, size_t length, int advice);
  madvise: { args: ["ptr", "u64", "i32"], returns: "i32" },
  // int flock(int fd, int operation);
  flock: { args: ["i32", "i32"], returns: "i32", isTrusted: true },
  // int fcntl(int fd, int cmd, ... /* struct flock * */);
  fcntl: { args: ["i32", "i32", "ptr"], returns: "i32" },
  // int rename(const char *oldpath, const char *newpath);
  rename: { args: ["ptr", "ptr"], returns: "i32" },
  // int link(const char *oldpath, const char *newpath);
  link: { args: ["ptr", "ptr"], returns: "i32" },
  // int unlink(const char *pathname);
  unlink: { args: ["ptr"], returns: "i32" },
  // long sysconf(int name);
  sysconf: { args: ["i32"], returns: "i64" },
});

/** Linux only. */
export const linux = lazily({
  // int fallocate(int fd, int mode, off_t offset, off_t len);
  fallocate: { args: ["i32", "i32", "i64", "i64"], returns: "i32" },
  // int fstatfs(int fd, struct statfs *buf);
  fstatfs: { args: ["i32", "ptr"], returns: "i32" },
  // long syscall(SYS_futex, uint32_t *uaddr, int op, uint32_t val, const struct timespec *timeout, ...);
  syscall: { args: ["i64", "ptr", "i32", "u32", "ptr", "ptr", "u32"], returns: "i64" },
});

/** Linux only: what the kernel knows of a file. glibc has had a function of its own for it since 2.28, musl since 1.2.5. */
export const statxCall = lazily({
  // long syscall(SYS_statx, int dirfd, const char *path, int flags, unsigned int mask, struct statx *statxbuf);
  syscall: { args: ["i64", "i32", "ptr", "i32", "u32", "ptr"], returns: "i64" },
});

/** Linux only: the calls of io_uring(7), which no libc has, and a pair of sockets. */
export const ioUring = lazily({
  // long syscall(SYS_io_uring_register, int fd, void *arg of the fourth place, ...);
  // long syscall(SYS_io_uring_enter, int fd, u32 to_submit, u32 min_complete, u32 flags, sigset_t *sig, size_t size);
  syscall: { args: ["i64", "u32", "u64", "u64", "u32", "ptr", "u64"], returns: "i64", isTrusted: true },
  // int socketpair(int domain, int type, int protocol, int sv[2]);
  socketpair: { args: ["i32", "i32", "i32", "ptr"], returns: "i32" },
});

/** Linux only: the one of them that makes a descriptor, with its own arguments, as `makeFd` takes six at most. */
export const ioUringSetup = lazily({
  // long syscall(SYS_io_uring_setup, u32 entries, struct io_uring_params *params);
  syscall: { args: ["i64", "u32", "ptr"], returns: "i64" },
});

/** POSIX shared memory: in librt before glibc 2.34, since then in libc, as on musl and macOS. */
export const posixShm = lazily(
  {
    // int shm_open(const char *name, int oflag, mode_t mode);
    shm_open: { args: ["ptr", "i32", "u32"], returns: "i32" },
    // int shm_unlink(const char *name);
    shm_unlink: { args: ["ptr"], returns: "i32" },
  },
  isLinux ? ["librt.so.1"] : [],
);
