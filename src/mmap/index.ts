/** `shmstruct/mmap`: Python's mmap object for Bun. */

export {
  ClosedError,
  FileFormatError,
  ShmError,
  SystemError,
  UnsupportedError,
  UntrustedFileError,
} from "../errors/errors.ts";
export type { BytesLike } from "../sys/arguments.ts";
export { pageSize } from "../sys/file.ts";
export {
  MADV_COLD,
  MADV_DODUMP,
  MADV_DOFORK,
  MADV_DONTDUMP,
  MADV_DONTFORK,
  MADV_DONTNEED,
  MADV_FREE,
  MADV_HUGEPAGE,
  MADV_MERGEABLE,
  MADV_NOHUGEPAGE,
  MADV_NORMAL,
  MADV_PAGEOUT,
  MADV_POPULATE_READ,
  MADV_POPULATE_WRITE,
  MADV_RANDOM,
  MADV_REMOVE,
  MADV_SEQUENTIAL,
  MADV_UNMERGEABLE,
  MADV_WILLNEED,
  MAP_ANON,
  MAP_ANONYMOUS,
  MAP_DENYWRITE,
  MAP_EXECUTABLE,
  MAP_LOCKED,
  MAP_NORESERVE,
  MAP_POPULATE,
  MAP_PRIVATE,
  MAP_SHARED,
  MAP_STACK,
  PROT_EXEC,
  PROT_READ,
  PROT_WRITE,
} from "../sys/libc/constants.ts";
export type { Access } from "../sys/mapping.ts";
export type { Trust } from "../sys/trust.ts";
export { MemoryMap, type MemoryMapOptions, type Whence } from "./memory-map.ts";
