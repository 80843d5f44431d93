/**
 * The file behind a named semaphore on Linux. libc maps it as it is: a file that is too short kills the process at the
 * first use, other content makes libc abort it. So the file is looked at before it is opened, and again afterwards.
 */
import { FileFormatError, SystemError } from "../errors/errors.ts";
import { closeFile, openFile, readStart } from "../sys/file.ts";
import { isMacOS, O_NONBLOCK, O_RDONLY } from "../sys/libc/constants.ts";
import { isMusl } from "../sys/libc/symbols.ts";
import { type FileStatus, statusAt, statusOf } from "../sys/status.ts";
import { checkTrust, type Trust } from "../sys/trust.ts";
import { SEMAPHORE_VALUE_MAX } from "./constants.ts";
import { posixError } from "./errors.ts";

/**
 * sizeof(sem_t) on 64-bit Linux, in both libcs. Of it we know
 *
 *     glibc  0       4         8         12   32        musl  0       4         8               12   32
 *            | value | waiters | private |    |               | value | waiters | private: 0    |    |
 *            | u32   | u32     | u32 128 |    |               | i32   | i32     | i32, or 128   |    |
 */
const SEMAPHORE_BYTES = 32;
const AT = { value: 0, private: 8 } as const;
/** What sem_open writes there: the semaphore is shared between processes. */
const sharedMark = (): number => (isMusl() ? 0 : 128);

/** glibc puts this before the names of semaphores; musl puts nothing, so there they share the names of shared memory. */
const prefix = (): string => (isMusl() ? "" : "sem.");
const fileOf = (name: string): string => `/dev/shm/${prefix()}${name.slice(1)}`;

/** Longest name of a semaphore in bytes, without its slash. */
export const semaphoreNameBytesMax = (): number => (isMacOS ? 30 : 255 - prefix().length);

/**
 * The name of the semaphore that a file of /dev/shm is, or undefined for other files. On musl the file's name does not
 * tell: what is as large as a semaphore and has a semaphore's bytes counts as one, and by its size alone what may not be read.
 */
export function semaphoreNameOf(file: string, byteLength: number): string | undefined {
  if (!file.startsWith(prefix())) return undefined;
  const name = `/${file.slice(prefix().length)}`;
  return !isMusl() || (byteLength === SEMAPHORE_BYTES && mayBeSemaphore(name)) ? name : undefined;
}

function mayBeSemaphore(name: string): boolean {
  const path = fileOf(name);
  try {
    const fd = openFile(path, O_RDONLY | O_NONBLOCK);
    try {
      return semaphoreProblem(statusOf(fd), fd, path) === undefined;
    } finally {
      closeFile(fd);
    }
  } catch (error) {
    if (error instanceof SystemError) return true;
    throw error;
  }
}

/**
 * Looks at the semaphore that there is.
 * @returns what tells it from others; undefined without one
 * @throws PermissionsError, PosixError ELOOP … as sem_open; FileFormatError for what is no semaphore, or damaged; UntrustedFileError
 */
export function checkSemaphoreFile(name: string, wantedMode: number, trust: Trust): string | undefined {
  const path = fileOf(name);
  const fd = openIfThere(path, name);
  if (fd === undefined) return undefined;
  try {
    const status = statusOf(fd);
    checkTrust({ path, status, wantedMode }, trust);
    const problem = semaphoreProblem(status, fd, path);
    if (problem === undefined) return status.id;
    throw new FileFormatError(
      path,
      `'${path}' is no semaphore: ${problem}; unlinkSemaphore(${JSON.stringify(name)}) removes it`,
    );
  } finally {
    closeFile(fd);
  }
}

/** Whether the name still stands for the semaphore that was looked at. */
export const isStill = (name: string, id: string): boolean => statusAt(fileOf(name))?.id === id;

function openIfThere(path: string, name: string): number | undefined {
  try {
    return openFile(path, O_RDONLY | O_NONBLOCK);
  } catch (error) {
    if (!(error instanceof SystemError)) throw error;
    if (error.code === "ENOENT") return undefined;
    throw posixError("sem_open", error.errno, name);
  }
}

function semaphoreProblem({ isFile, byteLength }: FileStatus, fd: number, path: string): string | undefined {
  // Not a file: sem_open has an error of its own for that.
  if (!isFile) return undefined;
  if (byteLength < SEMAPHORE_BYTES) return `it has ${byteLength} bytes of ${SEMAPHORE_BYTES}`;
  const words = new DataView(new ArrayBuffer(SEMAPHORE_BYTES));
  readStart(fd, new Uint8Array(words.buffer), path);
  const value = words.getUint32(AT.value, true);
  if (value > SEMAPHORE_VALUE_MAX) return `its value is ${value}, the highest is ${SEMAPHORE_VALUE_MAX}`;
  const mark = words.getUint32(AT.private, true);
  return mark === sharedMark()
    ? undefined
    : `it is not shared between processes (${mark} instead of ${sharedMark()})`;
}
