/**
 * Descriptors that belong to something from their first moment on: a worker can be terminated between any two lines, and what
 * is only a number then stays open until the process ends.
 */
import { lastErrno, systemError } from "./libc/call.ts";
import { E, F_DUPFD_CLOEXEC } from "./libc/constants.ts";
import { callOwned, type OwnedCall, ownedBuffer } from "./libc/ffi.ts";
import { libc } from "./libc/symbols.ts";

/** The owners of all descriptors of this thread, so that the collector never closes one. */
const owners = new Set<ArrayBuffer>();

/** Those of descriptors that no `OwnedFd` has taken over yet. */
const unclaimed = new Map<number, ArrayBuffer>();

/**
 * Calls a function of libc that makes a descriptor. It is closed by `closeFile`, by the `OwnedFd` that takes it over, or when
 * the thread ends, `Worker.terminate()` included.
 * @returns the descriptor; -1 when the call failed: errno says why
 * @throws SystemError EMFILE, should the number be 0 and no other be free
 * @example makeFd(libc().open, [cstring(path), O_RDONLY, 0])
 */
export function makeFd(make: OwnedCall["make"], args: readonly unknown[]): number {
  const made = callOwned({ make, args, free: libc().close });
  if (made === undefined) return -1;
  if (made.buffer === undefined) return made.result;
  owners.add(made.buffer);
  unclaimed.set(made.result, made.buffer);
  return made.result;
}

/** Another descriptor of the same open file; -1 when the call failed: errno says why. */
export const duplicateFd = (fd: number, least = 0): number =>
  makeFd(libc().fcntl, [fd, F_DUPFD_CLOEXEC, least]);

/**
 * The owner of an open descriptor, for the object that closes it from now on.
 * @param fd not 0
 */
export function claimFd(fd: number): ArrayBuffer {
  const owner = unclaimed.get(fd) ?? ownerOf(fd);
  unclaimed.delete(fd);
  return owner;
}

function ownerOf(fd: number): ArrayBuffer {
  // SAFETY: the "address" is the number that close(2) gets; no byte there is ever read or written.
  const owner = ownedBuffer({ address: fd, byteLength: 1, free: libc().close, context: 1 });
  owners.add(owner);
  return owner;
}

/** Closes the descriptor of an owner. */
export function closeOwner(owner: ArrayBuffer): void {
  owner.transfer(0);
  owners.delete(owner);
}

/**
 * Closes a descriptor.
 * @throws SystemError EBADF when it is not open; never call it twice, the number may be another file's by then
 */
export function closeFile(fd: number): void {
  const owner = unclaimed.get(fd);
  if (owner !== undefined) {
    unclaimed.delete(fd);
    closeOwner(owner);
    return;
  }
  // EINTR after close(2) means closed all the same on Linux: trying again would close a stranger's descriptor.
  if (libc().close(fd) < 0 && lastErrno() !== E.EINTR) throw systemError("close", lastErrno(), `fd ${fd}`);
}
