/**
 * io_uring(7): requests to the kernel, which it carries out by itself, one after the end of another where they are linked.
 * Linux only; where the kernel is older, or a sandbox forbids it, `open` throws.
 */
import { makeFd } from "./descriptor.ts";
import { check, systemError } from "./libc/call.ts";
import {
  E,
  IO_URING_OP_SUPPORTED,
  IORING_ENTER_GETEVENTS,
  IORING_FEAT_SINGLE_MMAP,
  IORING_OFF_SQ_RING,
  IORING_OFF_SQES,
  IORING_REGISTER_PROBE,
  IORING_SETUP_CQSIZE,
  IORING_SQ_CQ_OVERFLOW,
  SYS_io_uring_enter,
  SYS_io_uring_register,
  SYS_io_uring_setup,
} from "./libc/constants.ts";
import { addressOf } from "./libc/ffi.ts";
import { ioUring, ioUringSetup } from "./libc/symbols.ts";
import { Mapping } from "./mapping.ts";
import { OwnedFd } from "./owned-fd.ts";

/** What the kernel is asked for. Which of the numbers mean what depends on the operation. */
export interface RingRequest {
  /** IORING_OP_… */
  readonly operation: number;
  /** IOSQE_… bits. */
  readonly flags?: number;
  /** Comes back with the result. 0, the default: none cares for the result. */
  readonly id?: number;
  readonly fd?: number;
  readonly address?: number;
  readonly byteLength?: number;
  /** The second address, or an offset. */
  readonly offset?: number;
  readonly operationFlags?: number;
  /** The third address, or a mask. */
  readonly mask?: number;
}

/** A request's result: a negative number is an errno. */
export type OnCompletion = (id: number, result: number) => void;

const REQUESTS = 8;
const COMPLETIONS = 128;
const REQUEST_WORDS = 64 / 4;
const COMPLETION_WORDS = 16 / 4;
const TWO_TO_THE_32 = 2 ** 32;

/**
 * struct io_uring_params, in words of 32 bits: what is asked for, and where in the mapped memory what lies.
 *
 *     0            1            2       5          10                         20
 *     | sq_entries | cq_entries | flags | features | struct io_sqring_offsets | struct io_cqring_offsets |
 */
const PARAMS_WORDS = 120 / 4;
const SQ_ENTRIES = 0;
const CQ_ENTRIES = 1;
const FLAGS = 2;
const FEATURES = 5;
const SQ_HEAD = 10;
const SQ_TAIL = 11;
const SQ_FLAGS = 14;
const SQ_ARRAY = 16;
const CQ_HEAD = 20;
const CQ_TAIL = 21;
const CQ_CQES = 25;

/** struct io_uring_probe: 16 bytes, the first of them the last operation there is, then 8 bytes for each, bit 0 of word 1 at 2. */
const PROBE_BYTES = 16;
const PROBE_OPERATIONS = 64;

/** The requests and results of one thread: only the one that opened it may use it. */
export class IoRing {
  readonly #file: OwnedFd;
  readonly #ring: Mapping;
  readonly #requests: Mapping;
  readonly #words: Int32Array;
  readonly #requestWords: Int32Array;
  readonly #params: Uint32Array;
  #tail: number;

  private constructor(file: OwnedFd, params: Uint32Array, ring: Mapping, requests: Mapping) {
    this.#file = file;
    this.#params = params;
    this.#ring = ring;
    this.#requests = requests;
    this.#words = new Int32Array(ring.buffer, 0, ring.byteLength >> 2);
    this.#requestWords = new Int32Array(requests.buffer);
    this.#tail = this.#words[params[SQ_TAIL]! >> 2]!;
    // Entry i of the queue is always request i.
    for (let i = 0; i < params[SQ_ENTRIES]!; i++) this.#words[(params[SQ_ARRAY]! >> 2) + i] = i;
  }

  /**
   * @param operations what the kernel must be able to do
   * @throws SystemError ENOSYS, EPERM (a sandbox, or kernel.io_uring_disabled), EOPNOTSUPP when the kernel lacks one of the
   *   operations; EMFILE, ENFILE, ENOMEM
   */
  static open(operations: readonly number[]): IoRing {
    const params = new Uint32Array(PARAMS_WORDS);
    params[FLAGS] = IORING_SETUP_CQSIZE;
    params[CQ_ENTRIES] = COMPLETIONS;
    // SAFETY: the kernel reads and writes the 120 bytes of `params` during the call.
    const fd = makeFd(ioUringSetup().syscall, [SYS_io_uring_setup, REQUESTS, params]);
    const file = new OwnedFd(check("io_uring_setup", fd));
    try {
      const hasAll = (params[FEATURES]! & IORING_FEAT_SINGLE_MMAP) !== 0 && canDo(file.fd, operations);
      if (!hasAll) throw systemError("io_uring_register", E.EOPNOTSUPP);
      return IoRing.#map(file, params);
    } catch (error) {
      file.close();
      throw error;
    }
  }

  static #map(file: OwnedFd, params: Uint32Array): IoRing {
    const ringBytes = Math.max(
      params[SQ_ARRAY]! + params[SQ_ENTRIES]! * 4,
      params[CQ_CQES]! + params[CQ_ENTRIES]! * COMPLETION_WORDS * 4,
    );
    const requestBytes = params[SQ_ENTRIES]! * REQUEST_WORDS * 4;
    const options = { ownsFd: false, path: "io_uring" } as const;
    const ring = Mapping.map(file.fd, { ...options, byteLength: ringBytes, byteOffset: IORING_OFF_SQ_RING });
    try {
      const place = { byteLength: requestBytes, byteOffset: IORING_OFF_SQES };
      return new IoRing(file, params, ring, Mapping.map(file.fd, { ...options, ...place }));
    } catch (error) {
      ring.close();
      throw error;
    }
  }

  /** Empties the queue of what an exception, such as a stack overflow, may have kept from being handed over. */
  begin(): void {
    this.#tail = this.#words[this.#params[SQ_TAIL]! >> 2]!;
  }

  /** Puts a request into the queue, which has room for eight. */
  add(request: RingRequest): void {
    const { operation, flags = 0, id = 0, fd = -1, address = 0, byteLength = 0 } = request;
    const { offset = 0, operationFlags = 0, mask = 0 } = request;
    const words = this.#requestWords;
    const at = (this.#tail & (this.#params[SQ_ENTRIES]! - 1)) * REQUEST_WORDS;
    words.fill(0, at, at + REQUEST_WORDS);
    words[at] = operation | (flags << 8);
    words[at + 1] = fd;
    setLong(words, at + 2, offset);
    setLong(words, at + 4, address);
    words[at + 6] = byteLength;
    words[at + 7] = operationFlags;
    setLong(words, at + 8, id);
    setLong(words, at + 12, mask);
    this.#tail = (this.#tail + 1) | 0;
  }

  /**
   * Hands the queue to the kernel. What can be done at once is done when this returns.
   * @throws SystemError for what the kernel cannot take
   */
  submit(): void {
    const { [SQ_TAIL]: tail, [SQ_HEAD]: head } = this.#params;
    Atomics.store(this.#words, tail! >> 2, this.#tail);
    const count = (this.#tail - Atomics.load(this.#words, head! >> 2)) | 0;
    // SAFETY: the requests lie in memory of the kernel's own, and refer to memory that those who added them keep.
    const taken = ioUring().syscall(SYS_io_uring_enter, this.#file.fd, count, 0, 0, null, 0);
    if (check("io_uring_enter", taken) !== count) throw systemError("io_uring_enter", E.EAGAIN);
  }

  /** Tells the results that have come, those of requests without an id left out. */
  complete(onCompletion: OnCompletion): void {
    do this.#take(onCompletion);
    while (this.#flush());
  }

  #take(onCompletion: OnCompletion): void {
    const { [CQ_HEAD]: headAt, [CQ_TAIL]: tailAt, [CQ_CQES]: cqes, [CQ_ENTRIES]: entries } = this.#params;
    const words = this.#words;
    let head = words[headAt! >> 2]!;
    const tail = Atomics.load(words, tailAt! >> 2);
    for (; head !== tail; head = (head + 1) | 0) {
      const at = (cqes! >> 2) + (head & (entries! - 1)) * COMPLETION_WORDS;
      const id = (words[at]! >>> 0) + (words[at + 1]! >>> 0) * TWO_TO_THE_32;
      if (id !== 0) onCompletion(id, words[at + 2]!);
    }
    Atomics.store(words, headAt! >> 2, head);
  }

  /** More results than there is room for wait in the kernel. @returns whether some came */
  #flush(): boolean {
    if ((Atomics.load(this.#words, this.#params[SQ_FLAGS]! >> 2) & IORING_SQ_CQ_OVERFLOW) === 0) return false;
    ioUring().syscall(SYS_io_uring_enter, this.#file.fd, 0, 0, IORING_ENTER_GETEVENTS, null, 0);
    return true;
  }

  /** Ends all that is asked for, and gives memory and descriptor back. */
  close(): void {
    this.#ring.close();
    this.#requests.close();
    this.#file.close();
  }

  [Symbol.dispose](): void {
    this.close();
  }
}

function setLong(words: Int32Array, at: number, value: number): void {
  words[at] = value;
  words[at + 1] = value / TWO_TO_THE_32;
}

function canDo(fd: number, operations: readonly number[]): boolean {
  const probe = new Uint8Array(PROBE_BYTES + PROBE_OPERATIONS * 8);
  // SAFETY: the kernel writes at most 8 bytes for each of the 64 operations behind the first 16.
  const result = ioUring().syscall(
    SYS_io_uring_register,
    fd,
    IORING_REGISTER_PROBE,
    addressOf(probe),
    PROBE_OPERATIONS,
    null,
    0,
  );
  check("io_uring_register", result);
  return operations.every(
    (operation) => (probe[PROBE_BYTES + operation * 8 + 2]! & IO_URING_OP_SUPPORTED) !== 0,
  );
}
