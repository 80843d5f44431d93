/** A held lock and what may be done under it. */
import { ClosedError, ShmError } from "../errors.ts";
import type { LockMode } from "../locks/file-lock.ts";
import { HEADER_CODE, type MmapStructure } from "../struct/header.ts";
import { getPath, resolvePath, setPath } from "../struct/path.ts";
import type { Struct } from "../struct/struct.ts";
import type { InitValue, Path, PathValue } from "../struct/type-utils.ts";
import type { Core, Holding } from "./core.ts";
import type { DataFile } from "./data-file.ts";

/**
 * A reader lock, held until `release()` or the end of the `using` scope.
 * @example using session = reader.lock(); console.log(session.data.speed);
 */
export class ReadSession<T extends Struct, V> implements Holding, Disposable {
  readonly isAsync: boolean;
  readonly mode: LockMode;
  readonly #core: Core<T>;
  protected readonly view: V;
  #released = false;

  /** Made by the roles, which hold the lock by then. */
  constructor(core: Core<T>, isAsync: boolean, mode: LockMode = "shared") {
    this.isAsync = isAsync;
    this.mode = mode;
    this.#core = core;
    this.view = core.lockedView(mode) as unknown as V;
    core.holding = this;
  }

  /** The struct in shared memory. @throws ClosedError once the session is released */
  get data(): V {
    this.#assertHeld();
    return this.view;
  }

  /** Whether the lock was given back. */
  get released(): boolean {
    return this.#released;
  }

  /**
   * The field at a dotted path; nested structs and arrays as views on shared memory.
   * @throws TypeError, RangeError for a path that does not exist; ClosedError once released
   * @example session.get("path.3.x")
   */
  get<P extends Path<T>>(path: P): PathValue<V, P> {
    return getPath(this.data as object, resolvePath(this.#core.layout, path)) as PathValue<V, P>;
  }

  /** Gives the lock back. A second call does nothing. */
  release(): void {
    this.finish(() => {});
  }

  [Symbol.dispose](): void {
    this.release();
  }

  /** What `close()` of the role does with an open session. */
  abandon(): void {
    this.release();
  }

  /** Runs `last` with the lock still held, then gives it back whatever happened. */
  protected finish(last: () => void): void {
    if (this.#released) return;
    this.#released = true;
    try {
      last();
    } finally {
      this.#core.holding = undefined;
      this.#core.lock.release();
    }
  }

  #assertHeld(): void {
    if (this.#released)
      throw new ClosedError(
        `the session on '${this.#core.path}' was released; its data may change at any moment`,
      );
  }
}

/**
 * A writer lock and a transaction: the stores become the committed state at `release()`, all together, or never,
 * after `rollback()` or when this process dies.
 * @example using session = editor.lock(); session.data.speed = 3; session.set("path.0.x", 1);
 */
export class WriteSession<T extends Struct> extends ReadSession<T, T> {
  readonly #core: Core<T>;
  readonly #file: DataFile;
  /** For files whose peers do not know of pre-images. */
  readonly #before: Uint8Array | undefined;
  #abandoned = false;

  constructor(core: Core<T>, isAsync: boolean) {
    super(core, isAsync, "exclusive");
    this.#core = core;
    this.#file = core.file;
    this.#before = this.#file.lockKind === "fcntl" ? this.#file.saveLive() : undefined;
    this.#file.begin();
  }

  /**
   * Sets the field at a dotted path; a bad value changes nothing.
   * @throws TypeError, RangeError naming the field; ClosedError once released
   * @example session.set("pose", { x: 1, y: 2 })
   */
  set<P extends Path<T>>(path: P, value: InitValue<PathValue<T, P>>): void {
    setPath(this.data, resolvePath(this.#core.layout, path), value);
  }

  /** Ends the session with a commit. */
  override release(): void {
    this.commit(this.#core.options.touch ?? true);
  }

  /** Ends the session with a commit; `stamp` tells whether the header's time stamp becomes now. */
  commit(stamp: boolean): void {
    if (this.released) return;
    this.finish(() => {
      const { header } = this.view as unknown as MmapStructure;
      header.header_code = HEADER_CODE;
      if (stamp) header.time_stamp = Date.now() / 1000;
      this.#file.commit();
    });
    this.#core.notify();
  }

  /**
   * Ends the session with everything as it was before it.
   * @throws ShmError `"NOT_TRANSACTIONAL"` for a file made with `transactional: false`; the stores stay then
   */
  rollback(): void {
    if (this.#before === undefined && !this.#file.transactional) {
      throw new ShmError(
        "NOT_TRANSACTIONAL",
        `'${this.#file.path}' was made with transactional: false and keeps no state to go back to; the changes stay`,
      );
    }
    this.finish(() => {
      if (this.#before !== undefined) this.#file.restoreLive(this.#before);
      this.#file.rollBack();
    });
  }

  /** True once the role was closed over this session, or the like: not ended by whoever opened it. */
  get abandoned(): boolean {
    return this.#abandoned;
  }

  override abandon(): void {
    if (this.released) return;
    this.#abandoned = true;
    if (this.#before === undefined && !this.#file.transactional) this.release();
    else this.rollback();
  }
}
