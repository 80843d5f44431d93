/** What to do about an error that opening a segment threw. */
import {
  FileFormatError,
  FileMissingError,
  type ShmError,
  SystemError,
  UntrustedFileError,
} from "../../errors/errors.ts";

export const RECREATE =
  "shmstruct restore BACKUP FILE, or let its program recreate it with { create: true, force: true }, which erases its content; shmstruct rm FILE removes it, unless it may be another program's, as an empty file may: delete that with rm(1) first";

const BY_CODE: Readonly<Record<string, string>> = {
  EMFILE: "raise the limit of open files: ulimit -n 4096, or LimitNOFILE= of the service",
  ENFILE: "too many files are open on this machine: sysctl fs.file-max",
  ENOMEM: "no memory or too many mappings: sysctl vm.max_map_count, ulimit -v",
  ENOSPC: "the file system is full: remove what is not needed; shmstruct top shows the largest",
  EACCES:
    "ls -la shows the owner and the mode of the file and its directory; chmod, or mode in the program that creates it, or run as its user",
  EPERM: "ls -la shows the owner and the mode of the file and its directory; run as its user",
};

export function adviceFor(error: ShmError): string {
  if (error instanceof UntrustedFileError)
    return "if that is meant: --shared or --trust-owner UID here, { shared: true } or { trustOwner } in programs";
  if (error instanceof FileFormatError) return RECREATE;
  if (error instanceof FileMissingError)
    return "start the program that creates it, with { create: true }: that makes the lock file again, and the content stays";
  const known = error instanceof SystemError ? BY_CODE[error.code] : undefined;
  return known ?? "see the message";
}
