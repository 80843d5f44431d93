/** Opening the files that locks live on: never a link, a pipe or a directory, and never with a wait. */
import { FileFormatError, FileMissingError, SystemError } from "../errors/errors.ts";
import { fs } from "../sys/builtin.ts";
import { closeFile, openFile } from "../sys/file.ts";
import { O_CREAT, O_EXCL, O_NONBLOCK, O_RDONLY, O_RDWR } from "../sys/libc/constants.ts";
import { throughFs } from "../sys/paths.ts";
import { type FileStatus, statusOf } from "../sys/status.ts";
import { checkTrust, type Trust } from "../sys/trust.ts";

export interface OpenOptions {
  /** Make the file when it is missing. Default false. */
  create?: boolean | undefined;
  /** Permissions of a file that is made, whatever the umask; who may write by them may also truncate. Default 0o600. */
  mode?: number | undefined;
  /** Whose file it may be, besides this user's and root's. */
  trust?: Trust | undefined;
  /** Permissions and marks that a file has from its first moment on; the caller then sets `mode`. Default: `mode`, at once. */
  firstMode?: number | undefined;
  /** The file will be mapped, so it matters who could truncate it. Default false. */
  isMapped?: boolean | undefined;
}

/** A descriptor, whether it was opened for writing too, and what the file was like then. */
export interface OpenedFile {
  fd: number;
  writable: boolean;
  status: FileStatus;
}

/**
 * Opens a regular file for reading and writing, or only for reading where no more is permitted.
 * @throws FileMissingError when it is missing and `create` is not set
 * @throws FileFormatError for a FIFO, a socket or a device, which are left alone
 * @throws UntrustedFileError for one that another user put where everybody may make files, or could truncate if it is mapped
 * @throws SystemError EACCES, ELOOP for a symbolic link, EISDIR for a directory …
 */
export function openLockFile(
  path: string,
  { create = false, mode = 0o600, firstMode = mode, trust = {}, isMapped = false }: OpenOptions,
): OpenedFile {
  const opened = openEitherWay(path, create, firstMode);
  // Opening a FIFO does not block, as O_NONBLOCK says; it shows itself here.
  const status = statusOf(opened.fd);
  try {
    if (!status.isFile)
      throw new FileFormatError(path, `'${path}' is not a regular file, so it cannot be a lock file`);
    checkTrust({ path, status, wantedMode: mode, isMapped }, trust);
    return { ...opened, status };
  } catch (error) {
    closeFile(opened.fd);
    throw error;
  }
}

function openEitherWay(path: string, create: boolean, mode: number): Omit<OpenedFile, "status"> {
  try {
    const fd = create ? openOrMake(path, mode) : openFile(path, O_RDWR | O_NONBLOCK);
    return { fd, writable: true };
  } catch (error) {
    if (!(error instanceof SystemError)) throw error;
    if (error.code === "EACCES" || error.code === "EROFS" || error.code === "EPERM") {
      return { fd: openForReading(path, error), writable: false };
    }
    if (error.code !== "ENOENT" || create) throw error;
    throw new FileMissingError(path, `the lock file '${path}' does not exist`);
  }
}

/** What is made has exactly these permissions from the first moment on that another process can see. */
function openOrMake(path: string, mode: number): number {
  for (;;) {
    try {
      return openFile(path, O_RDWR | O_NONBLOCK);
    } catch (error) {
      if (!isCode(error, "ENOENT")) throw error;
    }
    try {
      return makeFile(path, mode);
    } catch (error) {
      // Another process may have made it in between.
      if (!isCode(error, "EEXIST")) throw error;
    }
  }
}

function makeFile(path: string, mode: number): number {
  const fd = openFile(path, O_RDWR | O_CREAT | O_EXCL, mode);
  try {
    // The umask may have taken what even the owner needs.
    throughFs(() => fs().fchmodSync(fd, mode), path);
    return fd;
  } catch (error) {
    closeFile(fd);
    throw error;
  }
}

const isCode = (error: unknown, code: string): boolean => error instanceof SystemError && error.code === code;

function openForReading(path: string, refusal: SystemError): number {
  try {
    return openFile(path, O_RDONLY | O_NONBLOCK);
  } catch (error) {
    // Missing and not to be created here: why is what the first attempt said.
    throw error instanceof SystemError && error.code === "ENOENT" ? refusal : error;
  }
}
