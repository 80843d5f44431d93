/** The file behind a `MemoryMap`: found by path, descriptor or name, and asked for its size before memory is touched. */

import { FileFormatError, SystemError, UnsupportedError } from "../errors/errors.ts";
import { descriptor } from "../sys/arguments.ts";
import { fs } from "../sys/builtin.ts";
import { duplicateFd } from "../sys/descriptor.ts";
import { fileSize, openFile } from "../sys/file.ts";
import { check } from "../sys/libc/call.ts";
import { O_NONBLOCK, O_RDONLY, O_RDWR } from "../sys/libc/constants.ts";
import { OwnedFd } from "../sys/owned-fd.ts";
import { throughFs } from "../sys/paths.ts";
import { statusOf } from "../sys/status.ts";
import { type NamedOptions, openTagged, openTaggedReadOnly, removeTagged } from "./named.ts";

/** A descriptor of our own, and what is known about the file. */
export class Backing {
  /** How messages call it. */
  readonly path: string;
  readonly isFile: boolean;
  /** Whether the file offset is ours alone. That of a duplicate is the user's too, and lseek would move it. */
  readonly #ownsOffset: boolean;
  /** It is named memory that did not exist before. */
  readonly #isNew: boolean;
  readonly #file: OwnedFd;

  private constructor(fd: number, path: string, { ownsOffset = true, isNew = false } = {}) {
    this.path = path;
    this.#ownsOffset = ownsOffset;
    this.#isNew = isNew;
    this.#file = new OwnedFd(fd);
    this.isFile = statusOf(this.fd).isFile;
  }

  /**
   * Opens an existing file. Symbolic links are followed, pipes are not waited for.
   * @throws SystemError ENOENT, EACCES, EISDIR …
   */
  static fromPath(path: string, writable: boolean): Backing {
    const flags = (writable ? O_RDWR : O_RDONLY) | O_NONBLOCK;
    try {
      return new Backing(openFile(path, flags), path);
    } catch (error) {
      if (!(error instanceof SystemError && error.code === "ELOOP")) throw error;
      const target = throughFs(() => fs().realpathSync(path));
      return new Backing(openFile(target, flags), path);
    }
  }

  /** Duplicates the descriptor, so that the caller may close its own. @throws SystemError EBADF, RangeError */
  static fromDescriptor(fd: number, path = `descriptor ${fd}`): Backing {
    const duplicate = check("fcntl", duplicateFd(descriptor(fd)), path);
    return new Backing(duplicate, path, { ownsOffset: false });
  }

  /**
   * Opens named memory, and makes it if it is to be written and missing.
   * @throws TypeError for an impossible name; UntrustedFileError; SystemError ENOENT, EACCES, ENOSPC …
   */
  static fromName(tagName: string, byteLength: number, writable: boolean, options: NamedOptions): Backing {
    const { fd, made } = writable
      ? openTagged(tagName, byteLength, options)
      : openTaggedReadOnly(tagName, options);
    return new Backing(fd, tagName, { isNew: made });
  }

  /** -1 once released. */
  get fd(): number {
    return this.#file.fd;
  }

  /** The file's length now, in bytes. @throws UnsupportedError once released */
  get size(): number {
    if (this.fd < 0) throw new UnsupportedError(`the size of '${this.path}' is unknown with trackFd: false`);
    return this.#ownsOffset ? fileSize(this.fd, this.path) : statusOf(this.fd).byteLength;
  }

  /** How many bytes to map for a wanted `length`, 0 meaning all from `offset` on. @throws RangeError when there are fewer */
  lengthToMap(length: number, offset: number): number {
    if (!this.isFile) {
      if (length > 0) return length;
      throw new RangeError(`'${this.path}' is no regular file, so it has no length to map: give one`);
    }
    const { size } = this;
    if (length === 0 && offset < size) return size - offset;
    if (length > 0 && offset + length <= size) return length;
    const wanted =
      length === 0 ? `nothing to map from offset ${offset}` : `not ${length} bytes from offset ${offset}`;
    throw new RangeError(`'${this.path}' is ${size} bytes long: there is ${wanted}`);
  }

  /** @throws FileFormatError when the file does not reach to `end` any more; touching the memory would kill the process */
  guardSize(end: number): void {
    if (this.fd < 0 || !this.isFile) return;
    const { size } = this;
    if (size >= end) return;
    throw new FileFormatError(
      this.path,
      `'${this.path}' was cut to ${size} bytes, but is mapped up to ${end}; close the map`,
    );
  }

  /** Closes the descriptor. The mapping does not need it. */
  release(): void {
    this.#file.close();
  }

  /** It could not be mapped: what was made for that goes again. */
  giveUp(): void {
    this.release();
    if (this.#isNew) removeTagged(this.path);
  }
}
