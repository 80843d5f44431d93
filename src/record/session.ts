/** A held lock and what may be done under it. */
import { ClosedError, ShmError } from "../errors/errors.ts";
import { HEADER_CODE, type MmapStructure } from "../struct/declare/header.ts";
import type { Struct } from "../struct/declare/struct.ts";
import type { CheckedPath, InitValue, PathValue } from "../struct/declare/type-utils.ts";
import { getPath, resolvePath, setPath } from "../struct/view/path.ts";
import type { LockMode } from "../sync/file-lock.ts";
import type { Core } from "./core.ts";
import type { DataFile } from "./data-file.ts";

/** What a session is opened with by its role. */
export interface SessionOptions {
  /** Whether it outlives the call that opened it: what the role does meanwhile is not done in it. */
  readonly isAsync: boolean;
  /** Whether the commit stamps the header with the time. Default: what the role was told. */
  readonly touch?: boolean;
}

/**
 * A reader lock, held until `release()` or the end of the `using` scope. Made by `lock()`, `tryLock()` and
 * `lockAsync()` of a Reader.
 * @example using session = reader.lock(); console.log(session.data.speed);
 */
export class ReadSession<T extends Struct, V> implements Disposable {
  readonly #core: Core<T>;
  protected readonly view: V;
  #released = false;

  /** @internal Made by the roles, which hold the lock by then. */
  constructor(core: Core<T>, { isAsync }: SessionOptions, mode: LockMode = "shared") {
    this.#core = core;
    this.view = core.lockedView(mode) as unknown as V;
    const abandon = (): void => this.abandon();
    core.holding = { mode, isAsync, session: this, abandon, isAbandoned: false };
  }

  /**
   * The struct in shared memory.
   * @throws ClosedError once the session is released
   * @example session.data.pose.x
   */
  get data(): V {
    this.#assertHeld();
    return this.view;
  }

  /** Whether the lock was given back. Never throws. */
  get released(): boolean {
    return this.#released;
  }

  /**
   * The field at a dotted path; nested structs and arrays as views on shared memory.
   * @throws TypeError, RangeError for a path that does not exist; ClosedError once released
   * @example session.get("path.3.x")
   */
  get<P extends string>(path: CheckedPath<T, P>): PathValue<V, P> {
    return getPath(this.data as object, resolvePath(this.#core.layout, path)) as PathValue<V, P>;
  }

  /**
   * Gives the lock back. A second call does nothing.
   * @throws SystemError should the kernel refuse that
   * @example const session = reader.lock(); try { … } finally { session.release(); }
   */
  release(): void {
    this.finish(() => {});
  }

  /** The same as `release()`, for `using`. */
  [Symbol.dispose](): void {
    this.release();
  }

  /** What `close()` of the role does with an open session. */
  protected abandon(): void {
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
 * after `rollback()` or when this process dies. Made by `lock()`, `tryLock()` and `lockAsync()` of an Editor.
 * @example using session = editor.lock(); session.data.speed = 3; session.set("path.0.x", 1);
 */
export class WriteSession<T extends Struct> extends ReadSession<T, T> {
  readonly #core: Core<T>;
  readonly #file: DataFile;
  readonly #touch: boolean;
  /** For files whose peers do not know of pre-images. */
  readonly #before: Uint8Array | undefined;
  #isRolledBack = false;

  /** @internal */
  constructor(core: Core<T>, options: SessionOptions) {
    super(core, options, "exclusive");
    this.#core = core;
    this.#file = core.file;
    this.#touch = options.touch ?? core.options.touch ?? true;
    try {
      this.#before = this.#file.lockKind === "fcntl" ? this.#file.saveLive() : undefined;
      this.#file.begin();
    } catch (error) {
      this.finish(() => {});
      throw error;
    }
  }

  /**
   * Sets the field at a dotted path; a bad value changes nothing.
   * @throws TypeError, RangeError naming the field; ClosedError once released
   * @example session.set("pose", { x: 1, y: 2 })
   */
  set<P extends string>(path: CheckedPath<T, P>, value: InitValue<PathValue<T, P>>): void {
    setPath(this.data, resolvePath(this.#core.layout, path), value);
  }

  /**
   * Ends the session with a commit. Once it is ended, one way or the other, this does nothing.
   * @throws SystemError should the kernel refuse to take the lock back
   * @example const session = editor.lock(); session.data.speed = 3; session.release();
   */
  override release(): void {
    if (this.released) return;
    this.finish(() => {
      const { header } = this.view as unknown as MmapStructure;
      header.header_code = HEADER_CODE;
      if (this.#touch) header.time_stamp = Date.now() / 1000;
      this.#file.commit();
    });
    this.#core.notify();
  }

  /**
   * Ends the session with everything as it was before it. A second call does nothing.
   * @throws ClosedError when the session has been committed: that cannot be undone
   * @throws ShmError `"NOT_TRANSACTIONAL"` for a file made with `transactional: false`: the session ends, the stores stay
   * @example using session = editor.lock(); session.data.speed = 3; if (session.data.speed > limit) session.rollback();
   */
  rollback(): void {
    if (this.released && !this.#isRolledBack)
      throw new ClosedError(`the session on '${this.#core.path}' is committed and cannot be rolled back`);
    if (!this.#canRollBack) {
      this.release();
      throw new ShmError(
        "NOT_TRANSACTIONAL",
        `'${this.#file.path}' was made with transactional: false and keeps no state to go back to; the changes stay`,
      );
    }
    this.#isRolledBack = true;
    this.finish(() => {
      if (this.#before !== undefined) this.#file.restoreLive(this.#before);
      this.#file.rollBack();
    });
  }

  get #canRollBack(): boolean {
    return this.#before !== undefined || this.#file.transactional;
  }

  protected override abandon(): void {
    if (this.released) return;
    const { holding } = this.#core;
    if (holding !== undefined) holding.isAbandoned = true;
    if (this.#canRollBack) this.rollback();
    else this.release();
  }
}
