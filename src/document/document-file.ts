/**
 * One file with a document, opened and mapped. It knows nothing of locks; whoever calls `commit` or the other
 * methods that write holds the exclusive one.
 *
 * A commit writes the slot that is not current, then makes it current with one atomic store, then writes the text
 * at the start. Killed before the store, a writer has changed nothing that anybody reads; after it, everything but
 * the text at the start, which the next master sets right. A read looks which slot is current, copies it, and looks
 * again: as the current slot is never written to, the copy is whole when the answer is the same.
 */
import { FileFormatError, SystemError } from "../errors/errors.ts";
import { barrier, loadFence } from "../struct/memory/barrier.ts";
import { closeFile, fileSize, openFile } from "../sys/file.ts";
import { O_NONBLOCK, O_RDONLY, O_RDWR } from "../sys/libc/constants.ts";
import { Mapping } from "../sys/mapping.ts";
import { type FileStatus, isDisplaced, statusOf } from "../sys/status.ts";
import {
  AT,
  cutShort,
  damaged,
  MAX_FILE_BYTES,
  NO_DOCUMENT_TEXT,
  readFormat,
  SLOT,
  slotChecksum,
  strange,
} from "./document-format.ts";

/** A document as it was committed. Version 0 without a text: there has been none. */
export interface Committed {
  readonly version: number;
  readonly text: string | undefined;
}

/** Tries of a read without a lock before the caller should take the shared one. */
const MAX_TRIES = 100;

const COLON = 0x3a;
const encoder = new TextEncoder();
const decoder = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

/** A slot, or a copy of one: its header and all its room. */
class Slot {
  readonly bytes: Uint8Array<ArrayBuffer>;
  readonly header: DataView<ArrayBuffer>;
  /** The room for the text. */
  readonly text: Uint8Array<ArrayBuffer>;

  constructor(buffer: ArrayBuffer, byteOffset: number, byteLength: number) {
    this.bytes = new Uint8Array(buffer, byteOffset, byteLength);
    this.header = new DataView(buffer, byteOffset, SLOT.text);
    this.text = this.bytes.subarray(SLOT.text);
  }
}

export class DocumentFile {
  readonly path: string;
  /** How long a document may be, in bytes of UTF-8. */
  readonly maxBytes: number;
  readonly #mapping: Mapping;
  readonly #status: FileStatus;
  readonly #slots: readonly Slot[];
  readonly #words: Int32Array<ArrayBuffer>;
  #copy = new Slot(new ArrayBuffer(1024), 0, 1024);

  /**
   * Opens and maps the file, for reading or for both; undefined when there is none, or an empty one: nobody's yet.
   * @throws FileFormatError for anything that is no file of a JsonMap; SystemError EACCES, ELOOP for a symbolic link …
   */
  static open(path: string, writable: boolean): DocumentFile | undefined {
    const fd = openIfThere(path, writable);
    if (fd === undefined) return undefined;
    const status = checkedStatus(fd, path);
    if (status === undefined) return undefined;
    const { byteLength } = status;
    const access = writable ? "write" : "read";
    const mapping = Mapping.map(fd, { byteLength, access, path, reserve: true });
    try {
      return new DocumentFile(mapping, status, path);
    } catch (error) {
      mapping.close();
      throw error;
    }
  }

  private constructor(mapping: Mapping, status: FileStatus, path: string) {
    this.path = path;
    this.#mapping = mapping;
    this.#status = status;
    const { buffer, bytes } = mapping;
    const { maxBytes, slotOffset, footerOffset } = readFormat(bytes, path);
    this.maxBytes = maxBytes;
    this.#slots = slotOffset.map((offset) => new Slot(buffer, offset, SLOT.text + maxBytes));
    this.#words = new Int32Array(buffer, footerOffset);
  }

  /** Permissions of the file when it was opened. */
  get mode(): number {
    return this.#status.mode & 0o777;
  }

  /** Whether the bytes may be touched at all: a file that somebody cut short kills whoever does. One lseek. */
  get isWhole(): boolean {
    return fileSize(this.#mapping.fd, this.path) >= this.#mapping.byteLength;
  }

  /** Whether somebody deleted it, or gave its name to another file. Not to be asked at each turn: a look at the disk. */
  get isDisplaced(): boolean {
    return isDisplaced(this.#mapping.fd, this.path, this.#status.id);
  }

  /** Why nobody can use it any more, if it is so: somebody cut it short, and it still has its name. */
  get cut(): FileFormatError | undefined {
    if (this.isWhole || this.isDisplaced) return undefined;
    return cutShort(this.path, fileSize(this.#mapping.fd, this.path));
  }

  /** Another file has the name now, or somebody was killed while giving it one. */
  get isRetired(): boolean {
    return this.#load(AT.retired) !== 0;
  }

  set isRetired(value: boolean) {
    Atomics.store(this.#words, AT.retired / 4, Number(value));
  }

  /** The same file on the disk, opened a second time. */
  isSameAs(other: DocumentFile): boolean {
    return this.#status.id === other.#status.id;
  }

  /** The newest version; 0 before the first. @throws FileFormatError when the file contradicts itself */
  get version(): number {
    for (;;) {
      const current = this.#load(AT.current);
      loadFence();
      const version = this.#slot(current).header.getFloat64(SLOT.version, true);
      loadFence();
      if (this.#load(AT.current) === current) return this.#checkedVersion(version, current);
    }
  }

  /**
   * The newest document, without a lock; undefined when writers were too busy for a whole copy.
   * @throws FileFormatError when it is not as it was written
   */
  tryRead(): Committed | undefined {
    for (let tries = 0; tries < MAX_TRIES; tries++) {
      const current = this.#load(AT.current);
      loadFence();
      const textBytes = this.#copySlot(this.#slot(current));
      loadFence();
      if (this.#load(AT.current) === current) return this.#decode(current, textBytes);
    }
    return undefined;
  }

  /**
   * Makes `text`, of at most `maxBytes` bytes, the document. Under the exclusive lock.
   * @returns its version
   * @throws FileFormatError when the file contradicts itself
   */
  commit(text: string): number {
    const version = this.version + 1;
    this.write(version, text);
    return version;
  }

  /** The same with a given version, and undefined for no document yet: what a new file begins with. */
  write(version: number, text: string | undefined): void {
    const current = version | 0;
    const { bytes, header, text: room } = this.#slot(current);
    const textBytes = text === undefined ? 0 : encoder.encodeInto(text, room).written;
    header.setUint32(SLOT.textBytes, textBytes, true);
    header.setFloat64(SLOT.version, version, true);
    header.setUint32(SLOT.crc, slotChecksum(bytes, textBytes), true);
    this.#publish(AT.current, current);
    this.#mirror(current, textBytes);
  }

  /**
   * Sets the text at the start right, if a writer was killed while it wrote it. Under the exclusive lock.
   * @throws FileFormatError when the document is not as it was written
   */
  repair(): void {
    this.tryRead();
    const current = this.#load(AT.current);
    if (this.#load(AT.mirrored) === current) return;
    this.#mirror(current, this.#slot(current).header.getUint32(SLOT.textBytes, true));
  }

  /** Waits until the file on the disk holds what is in memory (msync). */
  flush(): void {
    this.#mapping.flush();
  }

  close(): void {
    this.#mapping.close();
  }

  [Symbol.dispose](): void {
    this.close();
  }

  /**
   * Writes the text at the start for jsonmmap's followers. A colon in the first place keeps them from reading it
   * meanwhile: they find an empty length, which is no number, and stay with what they have.
   */
  #mirror(current: number, textBytes: number): void {
    const { bytes } = this.#mapping;
    const start = textBytes === 0 ? NO_DOCUMENT_TEXT : `${textBytes}:`;
    Atomics.store(bytes, 0, COLON);
    for (let i = 1; i < start.length; i++) bytes[i] = start.charCodeAt(i);
    const { byteOffset } = this.#slot(current).text;
    bytes.copyWithin(start.length, byteOffset, byteOffset + textBytes);
    Atomics.store(bytes, 0, start.charCodeAt(0));
    this.#publish(AT.mirrored, current);
  }

  /**
   * Copies a slot and returns how long its text is, or would be: more than `maxBytes` is nonsense.
   * Only a copy may be decoded: decoders look at their bytes twice and must find the same.
   */
  #copySlot(slot: Slot): number {
    const textBytes = slot.header.getUint32(SLOT.textBytes, true);
    if (textBytes > this.maxBytes) return textBytes;
    const byteLength = SLOT.text + textBytes;
    if (byteLength > this.#copy.bytes.length) {
      const room = Math.min(2 * byteLength, SLOT.text + this.maxBytes);
      this.#copy = new Slot(new ArrayBuffer(room), 0, room);
    }
    this.#copy.bytes.set(slot.bytes.subarray(0, byteLength));
    return textBytes;
  }

  /** The copied slot, checked. */
  #decode(current: number, textBytes: number): Committed {
    if (textBytes > this.maxBytes) {
      throw damaged(this.path, `a document of ${textBytes} bytes in ${this.maxBytes}`);
    }
    const { bytes, header, text } = this.#copy;
    if (header.getUint32(SLOT.crc, true) !== slotChecksum(bytes, textBytes)) {
      throw damaged(this.path, "checksum of the document");
    }
    const version = this.#checkedVersion(header.getFloat64(SLOT.version, true), current);
    if (textBytes === 0) return { version, text: undefined };
    return { version, text: this.#decodeText(text.subarray(0, textBytes)) };
  }

  #decodeText(bytes: Uint8Array): string {
    try {
      return decoder.decode(bytes);
    } catch {
      throw damaged(this.path, "a document that is no UTF-8");
    }
  }

  #checkedVersion(version: number, current: number): number {
    if (Number.isSafeInteger(version) && (version | 0) === current) return version;
    throw damaged(this.path, `version ${version} in the place of ${current >>> 0}`);
  }

  #slot(current: number): Slot {
    return this.#slots[current & 1] as Slot;
  }

  #load(byteOffset: number): number {
    // Never Atomics here: on a read-only map they kill the process once compiled.
    barrier();
    return this.#words[byteOffset / 4] as number;
  }

  /** Stores a word between all stores before it and all after it, on every processor. */
  #publish(byteOffset: number, value: number): void {
    Atomics.store(this.#words, byteOffset / 4, value);
    // The load keeps later stores behind the store (arm64 may move them up otherwise).
    Atomics.load(this.#words, byteOffset / 4);
  }
}

/** Tells the users of `file` to look for another one, if `takeName` takes its name from it: without it they stay. */
export function retire(file: DocumentFile, takeName: () => void): void {
  file.isRetired = true;
  try {
    takeName();
  } catch (error) {
    file.isRetired = false;
    throw error;
  }
}

function openIfThere(path: string, writable: boolean): number | undefined {
  try {
    // O_NONBLOCK: a FIFO in the place of the file must not make us wait for its other end.
    return openFile(path, (writable ? O_RDWR : O_RDONLY) | O_NONBLOCK);
  } catch (error) {
    if (error instanceof SystemError && (error.code === "ENOENT" || error.code === "ENOTDIR"))
      return undefined;
    throw error;
  }
}

/** Of a file that can be mapped. Otherwise the descriptor is closed; undefined for an empty one. */
function checkedStatus(fd: number, path: string): FileStatus | undefined {
  const status = statusOf(fd);
  const { isFile, byteLength } = status;
  if (isFile && byteLength > 0 && byteLength <= MAX_FILE_BYTES) return status;
  closeFile(fd);
  if (isFile && byteLength === 0) return undefined;
  throw isFile
    ? strange(path, byteLength)
    : new FileFormatError(path, `'${path}' is no regular file, so it cannot be a document`);
}
