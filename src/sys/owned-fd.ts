/** Descriptors that are closed with their owner, also when a worker is terminated. */
import { claimFd, closeFile, closeOwner, duplicateFd } from "./descriptor.ts";
import { check, cstring, lastErrno } from "./libc/call.ts";
import { E, F_DUPFD_CLOEXEC, F_GETFD, O_CLOEXEC, O_RDONLY } from "./libc/constants.ts";
import { libc } from "./libc/symbols.ts";

/**
 * An open file descriptor that belongs to one object. It is tied to an `ArrayBuffer` whose deallocator is close(2), so the
 * kernel's locks on it are given back when the object is closed and when its worker ends, `terminate()` included. The
 * buffer is never indexed and stays between this module and descriptor.ts; `transfer(0)` is the only way to close.
 * @example
 * using file = new OwnedFd(openFile("data.bin", O_RDWR));
 * fileSize(file.fd);
 */
export class OwnedFd {
  readonly #fd: number;
  #buffer: ArrayBuffer | undefined;

  /**
   * @param fd an open descriptor, which nothing else closes from now on; closed here when this fails
   * @throws SystemError EMFILE, should the number be 0 and no other be free
   */
  constructor(fd: number) {
    try {
      this.#fd = fd === 0 ? notZero() : fd;
      this.#buffer = claimFd(this.#fd);
    } catch (error) {
      closeFile(fd);
      throw error;
    }
  }

  /** The number, -1 once closed. */
  get fd(): number {
    return this.closed ? -1 : this.#fd;
  }

  /** Whether it was closed. */
  get closed(): boolean {
    return this.#buffer === undefined || this.#buffer.detached;
  }

  /** Closes the descriptor. A second call does nothing. */
  close(): void {
    if (this.#buffer === undefined) return;
    closeOwner(this.#buffer);
    this.#buffer = undefined;
  }

  /**
   * Like `close`, for a number that users know and may have closed.
   * @returns false when it was closed elsewhere already; it is not closed a second time
   */
  closeKnown(): boolean {
    if (this.#buffer === undefined || isOpen(this.#fd)) {
      this.close();
      return true;
    }
    this.#forget(this.#buffer);
    return false;
  }

  /** Detaches the buffer of a descriptor that is closed already. Kept, it would close a stranger's file when this thread ends. */
  #forget(buffer: ArrayBuffer): void {
    this.#buffer = undefined;
    // Detaching closes the number, so it gets a file for that moment. Taken meanwhile by another part of the program, it stays theirs,
    // and the buffer stays where it is kept.
    if (occupy(this.#fd)) closeOwner(buffer);
  }

  [Symbol.dispose](): void {
    this.close();
  }
}

const isOpen = (fd: number): boolean => libc().fcntl(fd, F_GETFD, null) >= 0 || lastErrno() !== E.EBADF;

/** Opens a file that has the number `wanted`, and no owner but the one that there is; false when something else has it. */
function occupy(wanted: number): boolean {
  const fd = check("open", libc().open(cstring("/dev/null"), O_RDONLY | O_CLOEXEC, 0), "/dev/null");
  if (fd === wanted) return true;
  const copy = libc().fcntl(fd, F_DUPFD_CLOEXEC, wanted);
  libc().close(fd);
  if (copy === wanted) return true;
  if (copy >= 0) libc().close(copy);
  return false;
}

/** Another number for descriptor 0, which as an address would be null. */
function notZero(): number {
  const fd = check("fcntl", duplicateFd(0, 3));
  closeFile(0);
  return fd;
}
