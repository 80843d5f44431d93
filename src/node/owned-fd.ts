/** For Node.js in the place of src/sys/owned-fd.ts: it closes the descriptors of a worker that ends, `terminate()` included. */
import { closeFile } from "../sys/file.ts";

/** An open file descriptor that belongs to one object. */
export class OwnedFd {
  #fd: number;

  constructor(fd: number) {
    this.#fd = fd;
  }

  /** The number, -1 once closed. */
  get fd(): number {
    return this.#fd;
  }

  get closed(): boolean {
    return this.#fd < 0;
  }

  /** A second call does nothing. */
  close(): void {
    const fd = this.#fd;
    this.#fd = -1;
    if (fd >= 0) closeFile(fd);
  }

  [Symbol.dispose](): void {
    this.close();
  }
}
