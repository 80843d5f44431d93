/** Descriptors that are closed with their owner, also when a worker is terminated. */
import { closeFile, openFile } from "./file.ts";
import { check, lastErrno } from "./libc/call.ts";
import { E, F_DUPFD_CLOEXEC, F_GETFD, O_RDONLY } from "./libc/constants.ts";
import { ownedBuffer } from "./libc/ffi.ts";
import { libc } from "./libc/symbols.ts";

/** Of all open descriptors of this thread, so that the collector never closes one. */
const open = new Set<ArrayBuffer>();

/**
 * An open file descriptor that belongs to one object. It is tied to an `ArrayBuffer` whose deallocator is close(2), so the
 * kernel's locks on it are given back when the object is closed and when its worker ends, `terminate()` included. The
 * buffer is never indexed and never leaves this module; `transfer(0)` is the only way to close.
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
      // SAFETY: the "address" is the number that close(2) gets; no byte there is ever read or written.
      this.#buffer = ownedBuffer({ address: this.#fd, byteLength: 1, free: libc().close, context: 1 });
      open.add(this.#buffer);
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
    this.#buffer.transfer(0);
    open.delete(this.#buffer);
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
    // and the buffer stays in the set.
    if (!occupy(this.#fd)) return;
    buffer.transfer(0);
    open.delete(buffer);
  }

  [Symbol.dispose](): void {
    this.close();
  }
}

const isOpen = (fd: number): boolean => libc().fcntl(fd, F_GETFD, null) >= 0 || lastErrno() !== E.EBADF;

/** Opens a file that has the number `wanted`; false when something else has it. */
function occupy(wanted: number): boolean {
  const fd = openFile("/dev/null", O_RDONLY);
  if (fd === wanted) return true;
  const copy = libc().fcntl(fd, F_DUPFD_CLOEXEC, wanted);
  closeFile(fd);
  if (copy === wanted) return true;
  if (copy >= 0) closeFile(copy);
  return false;
}

/** Another number for descriptor 0, which as an address would be null. */
function notZero(): number {
  const fd = check("fcntl", libc().fcntl(0, F_DUPFD_CLOEXEC, 3));
  closeFile(0);
  return fd;
}
