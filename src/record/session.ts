/** A held lock and what may be done under it. */
import { ClosedError, ShmError } from "../errors/errors.ts";
import { HEADER_CODE, type MmapStructure, type MmapStructureHeader } from "../struct/declare/header.ts";
import type { CheckedPath, InitValue, PathValue } from "../struct/declare/type-utils.ts";
import { getPath, resolvePath, setPath } from "../struct/view/path.ts";
import type { Core, Holding, Session } from "./core.ts";
import type { RecordContent } from "./record-content.ts";

/** What a session is. `"abandoned"`: its process or worker died; the next writer makes a rolled-back one of it. */
export type SessionState = "open" | "committed" | "rolled back" | "released" | "abandoned";

/**
 * All changes of state of a writer's session, and the error that the event throws, if any. Those of a reader's have
 * "released" in the place of "committed". `irreversible`: of a file made with `transactional: false`, which keeps no state to go back to.
 */
export const SESSION_TRANSITIONS: readonly (readonly [
  from: SessionState,
  event: string,
  to: SessionState,
  error?: string,
])[] = [
  ["open", "use", "open"],
  ["open", "a bad value", "open", "RangeError"],
  ["open", "release", "committed"],
  ["open", "end of the scope", "committed"],
  ["open", "rollback", "rolled back"],
  ["open", "rollback, irreversible", "committed", "ShmError"],
  ["open", "close of the role", "rolled back"],
  ["open", "close of the role, irreversible", "committed"],
  ["open", "death", "abandoned"],
  ["abandoned", "lock of another writer", "rolled back"],
  ["committed", "use", "committed", "ClosedError"],
  ["committed", "release", "committed"],
  ["committed", "end of the scope", "committed"],
  ["committed", "rollback", "committed", "ClosedError"],
  ["committed", "close of the role", "committed"],
  ["rolled back", "use", "rolled back", "ClosedError"],
  ["rolled back", "release", "rolled back"],
  ["rolled back", "end of the scope", "rolled back"],
  ["rolled back", "rollback", "rolled back"],
  ["rolled back", "close of the role", "rolled back"],
];

/** Kinds whose values are views. What types of others hand out may be one, too. */
const COMPOSITES: ReadonlySet<string | undefined> = new Set(["array", "struct", "atomic", "own", undefined]);

/**
 * A reader lock, held until `release()` or the end of the `using` scope. Made by `lock()`, `tryLock()` and
 * `lockAsync()` of a Reader.
 * @example using session = reader.lock(); console.log(session.data.speed);
 */
export class ReadSession<T extends MmapStructure, V> implements Disposable {
  readonly #core: Core<T>;
  readonly #holding: Holding;
  protected readonly view: V;
  #released = false;

  /** @internal Made by the roles, which hold the lock by then. */
  constructor(core: Core<T>, holding: Holding) {
    this.#core = core;
    this.#holding = holding;
    this.view = core.lockedView(holding.mode) as unknown as V;
  }

  /** @internal What the role needs of it. */
  get held(): Session {
    // Itself, under another name: a second object and a function would be a good part of what a session costs.
    return this as unknown as Session;
  }

  /** The state before the session, where the file itself keeps none. */
  protected get before(): Uint8Array | undefined {
    return undefined;
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

  /** For values that are no views: to read them touches nothing. */
  get #readingData(): unknown {
    const { data } = this;
    return this.#holding.mode === "shared" ? data : this.#core.readingView("exclusive");
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
    const resolved = resolvePath(this.#core.layout, path);
    const isHandedOut = COMPOSITES.has(resolved.type.kind);
    const data = isHandedOut ? this.data : this.#readingData;
    return getPath(data as object, resolved) as PathValue<V, P>;
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
    this.#holding.isOver = true;
    try {
      last();
    } finally {
      this.#core.drop(this.#holding);
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
export class WriteSession<T extends MmapStructure> extends ReadSession<T, T> {
  readonly #core: Core<T>;
  readonly #content: RecordContent;
  #touch: boolean;
  /** For files whose peers do not know of pre-images. */
  readonly #before: Uint8Array | undefined;
  #isRolledBack = false;

  /** @internal */
  constructor(core: Core<T>, holding: Holding) {
    super(core, holding);
    this.#core = core;
    this.#content = core.content;
    this.#touch = core.options.touch ?? true;
    this.#before = this.#content.file.lockKind === "fcntl" ? this.#content.saveLive() : undefined;
    this.#content.begin();
  }

  protected override get before(): Uint8Array | undefined {
    return this.#before;
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
      const { header } = this.view;
      header.header_code = HEADER_CODE;
      if (this.#touch) stamp(header);
      this.#content.commit();
    });
    this.#core.segment.notify();
  }

  /**
   * Sets the header's time stamp to now; a commit does that by itself unless the role was opened with `touch: false`.
   * @throws ClosedError once released
   * @example session.touch();
   */
  touch(): void {
    stamp(this.data.header);
  }

  /**
   * Sets every byte of the file's struct to zero, the time stamp too; the header code stays.
   * @throws ClosedError once released
   * @example session.clear();
   */
  clear(): void {
    void this.data;
    this.#content.clearLive();
    // The header's time stamp is to stay 0: never written.
    this.#touch = false;
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
        `'${this.#core.path}' was made with transactional: false and keeps no state to go back to; the changes stay`,
      );
    }
    this.#isRolledBack = true;
    this.finish(() => {
      if (this.#before !== undefined) this.#content.restoreLive(this.#before);
      this.#content.rollBack();
    });
  }

  get #canRollBack(): boolean {
    return this.#before !== undefined || this.#content.transactional;
  }

  protected override abandon(): void {
    if (this.released) return;
    // A truncated file would kill the process; there is nothing to go back to.
    if (!this.#content.file.isWhole) this.finish(() => {});
    else if (this.#canRollBack) this.rollback();
    else this.release();
  }
}

/**
 * Stamps the header with the present time, and always with a later one than before: where commits are not counted, the
 * stamp alone tells that there was another.
 */
function stamp(header: MmapStructureHeader): void {
  const now = Date.now() / 1000;
  const last = header.time_stamp;
  // A stamp of tomorrow is a clock that was wrong.
  const isAhead = last >= now && last < now + CLOCK_STEP_SECONDS;
  header.time_stamp = isAhead ? last + LEAST_STEP_SECONDS : now;
}

/** More than the spacing of doubles of this century, 2.4e-7. */
const LEAST_STEP_SECONDS = 1e-6;
const CLOCK_STEP_SECONDS = 1;
