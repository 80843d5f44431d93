/** The files beside a segment that are not mapped: what has such a name may be any program's, and is known by its content. */
import { closeFile, openFile, readStart } from "../sys/file.ts";
import { O_NONBLOCK, O_RDONLY } from "../sys/libc/constants.ts";
import { BEING_MADE } from "../sys/new-file.ts";
import { type FileStatus, statusOf } from "../sys/status.ts";
import { checkTrust, type Trust } from "../sys/trust.ts";

/**
 * The content of a small regular file, without a wait: no link is followed, and a pipe is not opened for its writer.
 * @param mostBytes a longer one is another program's
 * @throws SystemError ENOENT, EACCES, ELOOP …; UntrustedFileError for another user's where everybody may make files
 */
export function readSideFile(path: string, mostBytes: number, trust: Trust = {}): Uint8Array | undefined {
  const fd = openFile(path, O_RDONLY | O_NONBLOCK);
  try {
    const status = statusOf(fd);
    if (!status.isFile || status.byteLength > mostBytes) return undefined;
    checkTrust({ path, status, isMapped: false }, trust);
    return contentOf(fd, status, mostBytes, path);
  } finally {
    closeFile(fd);
  }
}

/** The content of an open side file; undefined for what cannot be ours, so also for an empty file that is not being made. */
export function contentOf(
  fd: number,
  { byteLength, mode }: FileStatus,
  mostBytes: number,
  path: string,
): Uint8Array | undefined {
  if (byteLength > mostBytes || (byteLength === 0 && (mode & BEING_MADE) === 0)) return undefined;
  const bytes = new Uint8Array(byteLength);
  return bytes.subarray(0, readStart(fd, bytes, path));
}
