/**
 * For Node.js in the place of src/sys/libc/ffi.ts: it has no foreign-function interface, so the functions of libc that the
 * library needs are made of node:fs and fs-ext. They return what libc's do, and leave the reason of a failure in `errno`.
 * What only an address could do fails with ENOSYS, or says that it needs Bun.
 */
import * as fs from "node:fs";
import { createRequire } from "node:module";
import { UnsupportedError } from "../errors/errors.ts";
import {
  E,
  F_DUPFD_CLOEXEC,
  F_GETFD,
  F_OFD_SETLK,
  LOCK_UN,
  SEEK_END,
  SYS_gettid,
} from "../sys/libc/constants.ts";
import type { CFunction, Owned, OwnedCall, OwnedMemory, Symbols } from "../sys/libc/ffi.ts";
import { closeAfterCalls, type Fcntl, setRecordLock } from "./record-lock.ts";

export type {
  Address,
  CArgument,
  CFunction,
  CReturn,
  Owned,
  OwnedCall,
  OwnedMemory,
  Symbols,
} from "../sys/libc/ffi.ts";

/** What fs-ext has that is used here. */
export interface FsExt extends Fcntl {
  flockSync(fd: number, operation: number): void;
}

let loaded: FsExt | undefined;

/** @throws UnsupportedError when it is not installed */
function fsExt(): FsExt {
  loaded ??= loadFsExt();
  return loaded;
}

function loadFsExt(): FsExt {
  try {
    return createRequire(import.meta.url)("fs-ext") as FsExt;
  } catch (cause) {
    throw new UnsupportedError(
      `shared files need the package fs-ext on Node.js, for its locks: npm install fs-ext (${String(cause).split("\n")[0]})`,
    );
  }
}

/**
 * Loads fs-ext if it is installed, which takes some 20 ms: when a file is opened, so that no wait for a lock is that much longer.
 * Without it snapshots work, and the first lock says what is missing.
 */
export function prepareLocks(): void {
  try {
    fsExt();
  } catch (error) {
    if (!(error instanceof UnsupportedError)) throw error;
  }
}

let errno = 0;

/** The result of a call of node:fs or fs-ext, or -1 with its errno. */
function returned(call: () => number | undefined): number {
  try {
    return call() ?? 0;
  } catch (error) {
    // fs-ext is not there.
    if (error instanceof UnsupportedError) throw error;
    const { errno: number, code } = error as NodeJS.ErrnoException;
    if (number === undefined && code === undefined) throw error;
    // node:fs counts errno numbers downwards from zero, fs-ext upwards.
    errno = Math.abs(Number(number ?? E[code as keyof typeof E] ?? E.EINVAL));
    return -1;
  }
}

function failed(number: number): -1 {
  errno = number;
  return -1;
}

/** A C string without its NUL. */
const path = (cstring: unknown): Buffer => (cstring as Buffer).subarray(0, -1);

const TWO_32 = 2 ** 32;
/** The exact one, and the one of the last tick. */
const MONOTONIC: readonly number[] = [1, 6];

function clockGettime(clock: number, timespec: Int32Array): number {
  const [seconds, nanoseconds] = MONOTONIC.includes(clock) ? process.hrtime() : timeOfDay();
  timespec[0] = seconds | 0;
  timespec[1] = Math.floor(seconds / TWO_32);
  timespec[2] = nanoseconds;
  timespec[3] = 0;
  return 0;
}

function timeOfDay(): [number, number] {
  const milliseconds = Date.now();
  return [Math.floor(milliseconds / 1000), (milliseconds % 1000) * 1e6];
}

/** Record locks on the whole file: the type stands first in a struct flock. */
function fcntl(fd: number, command: number, argument: unknown): number {
  if (command === F_OFD_SETLK) {
    const type = new DataView((argument as Uint8Array).buffer).getInt16(0, true);
    return setRecordLock(fsExt(), fd, type) ? 0 : failed(E.EAGAIN);
  }
  if (command === F_GETFD || command === F_DUPFD_CLOEXEC)
    return returned(() => fsExt().fcntlSync(fd, command, Number(argument ?? 0)));
  return failed(E.ENOSYS);
}

/** A lock is given back at once, also where a call on the descriptor is waited for. */
function close(fd: number): number {
  const giveUp = (): void => fsExt().flockSync(fd, LOCK_UN);
  return returned(() => void closeAfterCalls(fd, () => fs.closeSync(fd), giveUp));
}

/** The number of this thread; of a worker another one than of its process. */
function gettid(): number {
  return Number(/\/task\/(\d+)$/.exec(fs.readlinkSync("/proc/thread-self"))?.[1] ?? process.pid);
}

/** Gives storage to what lies behind the end of a file; what is there has been written, and so has storage. */
function fallocate(fd: number, mode: number, from: number, byteLength: number): number {
  if (mode !== 0) return 0;
  const { size } = fs.fstatSync(fd);
  const end = from + byteLength;
  if (end > size) fs.writeSync(fd, new Uint8Array(end - size), 0, end - size, size);
  return 0;
}

type Implementation = (...args: never[]) => number;

const functions: Readonly<Record<string, Implementation>> = {
  __errno_location: () => 1,
  open: (name: Buffer, flags: number, mode: number) => returned(() => fs.openSync(path(name), flags, mode)),
  close,
  ftruncate: (fd: number, byteLength: number) => returned(() => void fs.ftruncateSync(fd, byteLength)),
  lseek: (fd: number, _offset: number, whence: number) =>
    whence === SEEK_END ? returned(() => fs.fstatSync(fd).size) : failed(E.EINVAL),
  pread: (fd: number, bytes: Uint8Array, byteLength: number, byteOffset: number) =>
    returned(() => fs.readSync(fd, bytes, 0, byteLength, byteOffset)),
  flock: (fd: number, operation: number) => returned(() => void fsExt().flockSync(fd, operation)),
  fcntl,
  rename: (from: Buffer, to: Buffer) => returned(() => void fs.renameSync(path(from), path(to))),
  link: (from: Buffer, to: Buffer) => returned(() => void fs.linkSync(path(from), path(to))),
  unlink: (name: Buffer) => returned(() => void fs.unlinkSync(path(name))),
  fallocate: (fd: number, mode: number, from: number, byteLength: number) =>
    returned(() => fallocate(fd, mode, from, byteLength)),
  clock_gettime: clockGettime,
  // node:fs answers instead, or an advantage is given up.
  fstatfs: () => failed(E.ENOSYS),
  syscall: (number: number) => (number === SYS_gettid ? gettid() : failed(E.ENOSYS)),
};

const missing = (name: string) => (): never => {
  throw needsMapping(name);
};

/** The error for what needs a mapping of the file. @param what for the message: `"live"` */
export const needsMapping = (what: string): UnsupportedError =>
  new UnsupportedError(
    `${what} needs a mapping of the file, which Node.js does not have: run this program with Bun (https://bun.sh); snapshots, get, set and edit, documents and subscribers work here`,
  );

export function openLibrary<const T extends Record<string, CFunction>>(_name: string, table: T): Symbols<T> {
  const symbols = Object.keys(table).map((name) => [name, functions[name] ?? missing(name)]);
  return Object.fromEntries(symbols) as Symbols<T>;
}

export function ownedBuffer(_memory: OwnedMemory): ArrayBuffer {
  throw needsMapping("memory at an address");
}

/** A number only, as Node.js closes the descriptors of a worker that ends. */
export function callOwned({ make, args }: OwnedCall): Owned | undefined {
  const result = (make as (...args: readonly unknown[]) => number)(...args);
  return result < 0 ? undefined : { result, buffer: undefined };
}

/** No address is ever used: the calls that get it fail with ENOSYS. */
export const addressOf = (_view: NodeJS.TypedArray | DataView, _byteOffset = 0): number => 0;

/** The only `int` that is asked for is errno. */
export const readInt32 = (_address: number): number => errno;
