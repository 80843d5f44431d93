/** Opening the data file of a segment: what it may be, and whose. */
import { FileFormatError, FileMissingError, SystemError } from "../errors/errors.ts";
import { HEADER_CODE } from "../struct/declare/header.ts";
import { fs } from "../sys/builtin.ts";
import { closeFile, openFile, readStart } from "../sys/file.ts";
import { systemError } from "../sys/libc/call.ts";
import { O_NONBLOCK, O_RDONLY, O_RDWR } from "../sys/libc/constants.ts";
import { MAX_MAPPING_BYTES } from "../sys/mapping.ts";
import { throughFs } from "../sys/paths.ts";
import { type FileStatus, statusOf } from "../sys/status.ts";
import { checkTrust, type Trust } from "../sys/trust.ts";
import type { ContentWords } from "./content.ts";
import { AT, FOOTER_BYTES } from "./footer.ts";

/** Whether stores are wanted. */
export type SegmentAccess = "read" | "write";

export interface OpenSegmentOptions {
  readonly access: SegmentAccess;
  readonly words: ContentWords;
  /** The least bytes that the file must have. */
  readonly leastBytes: number;
  /** Whose files are used, besides one's own and root's. */
  readonly trust?: Trust | undefined;
  /** Permissions that the user asked for: of files that are made. */
  readonly mode?: number | undefined;
  /** `SegmentFile.id` of a file that this process has open: by that it is ours, whatever is left of its content. */
  readonly knownId?: string | undefined;
}

/** @returns a descriptor. @throws FileMissingError, SystemError EACCES … */
export function openData(path: string, { access, words }: OpenSegmentOptions): number {
  try {
    // O_NONBLOCK: a FIFO in the place of the file must not make us wait for its other end.
    return openFile(path, (access === "write" ? O_RDWR : O_RDONLY) | O_NONBLOCK);
  } catch (error) {
    throw error instanceof SystemError ? openingError(error, path, words) : error;
  }
}

function openingError(error: SystemError, path: string, words: ContentWords): Error {
  const { code, syscall, errno } = error;
  if (code === "EACCES") return systemError(syscall, errno, path, words.permit);
  if (code !== "ENOENT") return error;
  return new FileMissingError(path, `there is no ${words.file} '${path}'; ${words.create}`);
}

/**
 * What the file is. The descriptor is closed when this throws.
 * @throws FileFormatError for what is no segment; UntrustedFileError
 */
export function checkedStatus(fd: number, path: string, options: OpenSegmentOptions): FileStatus {
  const status = statusOf(fd);
  const problem = dataFileProblem(status, options.leastBytes);
  let isTrusted = false;
  try {
    if (problem === undefined) {
      checkTrust({ path, status, wantedMode: options.mode }, options.trust ?? {});
      isTrusted = true;
      return status;
    }
    // Not an empty file: no killed creator leaves one under the file's own name, so another program may have made it.
    const isOurs = status.isFile && (status.id === options.knownId || beginsWithHeaderCode(fd, path));
    throw new FileFormatError(path, `'${path}' ${problem}`, isOurs);
  } finally {
    if (!isTrusted) closeFile(fd);
  }
}

function dataFileProblem({ isFile, byteLength }: FileStatus, leastBytes: number): string | undefined {
  if (!isFile) return "is no regular file, so it is no shared file";
  if (byteLength === 0)
    return "is empty: it was truncated, or another program made it, so it is left alone; if no program needs it, delete it, then create the shared file";
  if (byteLength < leastBytes)
    return `is only ${byteLength} bytes long: it is no shared file, or was truncated`;
  if (byteLength > MAX_MAPPING_BYTES) return `is ${byteLength} bytes long: one mapping holds at most 4 GiB`;
  return undefined;
}

function beginsWithHeaderCode(fd: number, path: string): boolean {
  const start = new Uint8Array(2);
  readStart(fd, start, path);
  return start[0] === (HEADER_CODE & 0xff) && start[1] === HEADER_CODE >> 8;
}

/** Sets the word of a damaged file that those who have it open look at. @throws SystemError */
export function supersedeDamaged(path: string): void {
  const fd = openFile(path, O_RDWR | O_NONBLOCK);
  try {
    const { byteLength, isFile } = statusOf(fd);
    if (!isFile || byteLength < FOOTER_BYTES) return;
    const superseded = new Uint8Array(Int32Array.of(1).buffer);
    throughFs(() => fs().writeSync(fd, superseded, 0, 4, byteLength - FOOTER_BYTES + AT.superseded), path);
  } finally {
    closeFile(fd);
  }
}
