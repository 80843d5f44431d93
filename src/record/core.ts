/** What all roles share: a segment with a record, and at most one session on it. */
import type { AsyncLocalStorage } from "node:async_hooks";
import { DeadlockError, FileFormatError, LockTimeoutError, ShmError } from "../errors/errors.ts";
import { loadPart } from "../errors/load.ts";
import type { Place } from "../segment/place.ts";
import { Segment } from "../segment/segment.ts";
import type { Struct } from "../struct/declare/struct.ts";
import type { Layout } from "../struct/layout/layout.ts";
import type { Region } from "../struct/memory/memory.ts";
import { TrackedRegion } from "../struct/memory/tracked.ts";
import { getPath, resolvePath } from "../struct/view/path.ts";
import type { LockMode } from "../sync/file-lock.ts";
import type { AsyncLockOptions, LockOptions } from "../sync/rw-lock.ts";
import { asyncHooks } from "../sys/builtin.ts";
import { AT_PLACE, type ManagerOptions, type RoleOptions, recordPlace } from "./options.ts";
import type { Ownership } from "./ownership.ts";
import { Parts } from "./parts.ts";
import { type RecordContent, recordType } from "./record-content.ts";
import { bytesOf, cellsOf, Snapshots } from "./snapshots.ts";

/** Which role it is: what it may do with the file, and whether it makes a lock file that is missing (a Manager does). */
export type RoleKind = "reader" | "editor" | "manager";

/**
 * A held lock, until it is given back.
 *
 *     call     as long as a function runs: what the role does meanwhile is part of it, as nothing else can run
 *     session  until it is released: the role's other calls are refused, as they may come from another task
 *     async    until it is released, other tasks running meanwhile
 */
export interface Holding {
  readonly mode: LockMode;
  readonly scope: "call" | "session" | "async";
  /** Undefined for a call that needs none. */
  session: Session | undefined;
  /** The session was ended by `close()`. */
  isAbandoned: boolean;
  /**
   * Nothing runs under it any more. Set by plain stores, which no stack overflow can prevent: what should have followed
   * and did not is made good at the next call.
   */
  isOver: boolean;
}

/** What the core asks of a session. */
export interface Session {
  /** Ends it without a commit, where that is possible. */
  abandon(): void;
  /** The state before it, for files that keep none. */
  readonly before: Uint8Array | undefined;
}

/** An `editAsync` at work. What it has started may outlive it. */
interface Edit {
  readonly path: string;
  isOver: boolean;
}

/** Those that the present asynchronous call is inside of. Made at the first use: few need it. */
let edits: AsyncLocalStorage<readonly Edit[]> | undefined;
function insideEdits(): AsyncLocalStorage<readonly Edit[]> {
  edits ??= new (asyncHooks().AsyncLocalStorage)<readonly Edit[]>();
  return edits;
}

type Owning = typeof import("./ownership.ts");
let owning: Owning | undefined;

/** Loaded by the first who asks for an owner field. */
function loadOwning(): Owning {
  owning ??= loadPart(() => require("./ownership.ts") as Owning);
  return owning;
}

/** How long a snapshot that writers let no whole copy through waits for them, before it tries again to copy. */
const LOCKED_OUT = { timeoutMs: 10 };

export class Core<T extends Struct> {
  readonly layout: Layout;
  readonly options: RoleOptions;
  readonly kind: RoleKind;
  readonly segment: Segment<RecordContent>;
  /** A role has one lock, hence at most one. */
  holding: Holding | undefined;
  /** Asynchronous calls that may have got the lock, but have not noted it yet. */
  #awaiting = 0;
  #live: { content: RecordContent; view: T } | undefined;
  /** Views for sessions, by the memory they are on; they go when the file goes. */
  #views = new WeakMap<Region, T>();
  /** The one that was asked for last, as a look into a WeakMap is a part of what an edit costs. */
  #newest: { region: Region; view: T } | undefined;
  readonly #snapshots: Snapshots<T>;
  readonly #parts: Parts;
  #ownership: Ownership | undefined;

  constructor(layout: Layout, options: RoleOptions, kind: RoleKind) {
    this.layout = layout;
    this.options = options;
    this.kind = kind;
    const place = options[AT_PLACE] ?? recordPlace(layout, options);
    this.segment = new Segment(place, recordType(layout, place), {
      access: kind === "reader" ? "read" : "write",
      mode: (options as ManagerOptions).mode,
      trust: options,
      makesLock: kind === "manager" || options[AT_PLACE] !== undefined,
    });
    this.#snapshots = new Snapshots<T>(layout);
    this.#parts = new Parts(layout);
    try {
      checkAgreement(this.content, options);
    } catch (error) {
      this.close();
      throw error;
    }
  }

  get path(): string {
    return this.segment.path;
  }

  get place(): Place {
    return this.segment.place;
  }

  get closed(): boolean {
    return this.segment.closed;
  }

  /** @throws ClosedError */
  get content(): RecordContent {
    return this.segment.content;
  }

  /** The content of a file whose length was looked at just now. */
  wholeContent(): RecordContent {
    return this.segment.whole() ?? this.content;
  }

  /** The view that reads shared memory without any lock. */
  get live(): T {
    const content = this.segment.current() ?? this.content;
    content.file.requireMapping("live");
    if (this.#live?.content !== content)
      this.#live = { content, view: content.view<T>(this.layout, content.fresh) };
    return this.#live.view;
  }

  /** The view to hand out while the lock is held: a writer's is on the live struct, a reader's on what is committed. */
  lockedView(mode: LockMode): T {
    const { content } = this;
    return this.#viewOn(mode === "exclusive" ? content.plain : content.committed);
  }

  /** A view to read with while the lock is held: what a writer's own hands out is saved as if it were stored to. */
  readingView(mode: LockMode): T {
    const { content } = this;
    if (mode === "shared" || !(content.plain instanceof TrackedRegion)) return this.lockedView(mode);
    content.file.takeIn();
    return this.#viewOn(content.readable);
  }

  #viewOn(region: Region): T {
    if (this.#newest?.region === region) return this.#newest.view;
    const view = this.#views.get(region) ?? this.content.view<T>(this.layout, region);
    this.#views.set(region, view);
    this.#newest = { region, view };
    return view;
  }

  /** The last committed state in private memory: new memory, or that of an earlier snapshot. */
  snapshot(into?: T): T {
    const content = this.segment.current() ?? this.content;
    const copy = into === undefined ? this.#snapshots.make() : this.#snapshots.again(into);
    const cells = content.isSequenced ? cellsOf(copy) : undefined;
    if (cells === undefined || !content.copyLiveTo(cells)) this.#copyBytes(content, bytesOf(copy));
    return copy;
  }

  #copyBytes(content: RecordContent, target: Uint8Array): void {
    if (!content.isSequenced) this.#copyUnderLock(target);
    else while (!content.copyTo(target) && !this.#copyLocked(content, target));
  }

  /** One member or element of it, as the snapshot has it, without a copy of the rest. */
  snapshotAt(path: string): unknown {
    const content = this.segment.current() ?? this.content;
    const part = this.#parts.at(path);
    const value = content.isSequenced ? content.readPart(part, this.layout) : undefined;
    return value === undefined ? getPath(this.snapshot() as object, part.path) : value;
  }

  /** Of a file whose writers keep no sequence. */
  #copyUnderLock(target: Uint8Array): void {
    const { holding } = this;
    if (holding === undefined || holding.isOver) {
      this.underLock(() => this.content.copyTo(target));
    } else if (holding.mode === "shared") this.content.copyTo(target);
    else if (holding.session?.before !== undefined) {
      target.set(holding.session.before.subarray(0, target.length));
    } else {
      throw new ShmError(
        "NOT_TRANSACTIONAL",
        `'${this.path}' was made with transactional: false and keeps no committed state while a session writes to it; call snapshot() before the session or after it`,
      );
    }
  }

  /**
   * The same for a struct so large that busy writers let no whole copy through: they are locked out for a moment.
   * False when that cannot be soon: a process that holds the lock for longer than that lets a copy through.
   */
  #copyLocked(content: RecordContent, target: Uint8Array): boolean {
    const { lock } = this.segment;
    try {
      lock.acquire("shared", LOCKED_OUT);
    } catch (error) {
      if (error instanceof LockTimeoutError) return false;
      throw error;
    }
    try {
      return content.copyTo(target);
    } finally {
      lock.release();
    }
  }

  /** Takes the lock. @throws DeadlockError when this role has a session open */
  acquire(mode: LockMode, scope: Holding["scope"], options?: LockOptions): Holding {
    const holding = this.#claim(mode, scope);
    try {
      this.segment.acquire(mode, options);
      return holding;
    } catch (error) {
      holding.isOver = true;
      this.holding = undefined;
      throw error;
    }
  }

  /** The same without waiting; undefined when the lock is taken. */
  tryAcquire(mode: LockMode): Holding | undefined {
    const holding = this.#claim(mode, "session");
    let isHeld = false;
    try {
      isHeld = this.segment.tryAcquire(mode);
    } finally {
      if (!isHeld) {
        holding.isOver = true;
        this.holding = undefined;
      }
    }
    return isHeld ? holding : undefined;
  }

  /** The same without blocking the event loop. */
  async acquireAsync(mode: LockMode, options?: AsyncLockOptions): Promise<Holding> {
    if (edits?.getStore()?.some(({ path, isOver }) => path === this.path && !isOver)) {
      throw new DeadlockError(
        this.path,
        `the lock of '${this.path}' would never be free: this runs inside an editAsync of it; use that session`,
      );
    }
    this.#awaiting++;
    try {
      await this.segment.acquireAsync(mode, options);
      const holding = newHolding(mode, "async");
      this.holding = holding;
      return holding;
    } finally {
      this.#awaiting--;
    }
  }

  #claim(mode: LockMode, scope: Holding["scope"]): Holding {
    this.#heal();
    this.refuseSecond();
    const holding = newHolding(mode, scope);
    this.holding = holding;
    return holding;
  }

  /**
   * A stack overflow can strike at any call, also between a lock and the note of it: what is held without a session, or by
   * one that is over, is given back.
   */
  #heal(): void {
    if (this.#awaiting > 0) return;
    const { holding } = this;
    if (holding?.isOver) this.end(holding);
    else if (holding === undefined) this.segment.releaseIfHeld();
  }

  /** @throws DeadlockError when a session or a call of this role is at work */
  refuseSecond(): void {
    if (this.holding === undefined) return;
    const what = {
      call: "this role holds it already; use the session of the call that is at work",
      session: "this role has a session open; use that session (session.get, session.set, session.data)",
      async: "an asynchronous session of this role holds it; use that session, or lockAsync",
    }[this.holding.scope];
    throw new DeadlockError(this.path, `the lock of '${this.path}' would never be free: ${what}`);
  }

  /** Gives the lock back, after abandoning a session that was not ended. */
  end(holding: Holding): void {
    holding.isOver = true;
    holding.session?.abandon();
    this.drop(holding);
  }

  /** Gives the lock back. */
  drop(holding: Holding): void {
    holding.isOver = true;
    if (this.holding !== holding) return;
    this.holding = undefined;
    this.segment.releaseIfHeld();
  }

  /** Runs the function of an `editAsync`, so that one that waits for its own lock is told. */
  async inside<R>(fn: () => R | Promise<R>): Promise<R> {
    const edit = { path: this.path, isOver: false };
    try {
      return await insideEdits().run([...(insideEdits().getStore() ?? []), edit], fn);
    } finally {
      edit.isOver = true;
    }
  }

  /** The call that is at work and what it does is part of, if any. */
  get openCall(): Holding | undefined {
    const { holding } = this;
    return holding?.scope === "call" && !holding.isOver ? holding : undefined;
  }

  /** Runs `fn` on the struct as part of the call that is at work, or under the lock for as long as it takes. */
  underLock<R>(fn: (data: T) => R, options?: LockOptions): R {
    const { openCall } = this;
    if (openCall !== undefined) return fn(this.readingView(openCall.mode));
    const holding = this.acquire("shared", "call", options);
    try {
      return fn(this.lockedView("shared"));
    } finally {
      holding.isOver = true;
      this.drop(holding);
    }
  }

  /** Opened by the first who asks for it. */
  get ownership(): Ownership {
    this.content.file.requireMapping("an owner() field");
    this.#ownership ??= new (loadOwning().Ownership)(this.content, this.layout, this.options);
    return this.#ownership;
  }

  /** The words of the live struct, and the index of the owner field at a path. @throws TypeError for another field */
  ownerField(path: string): { words: Int32Array; index: number } {
    const { type, offset } = resolvePath(this.layout, path);
    if (type.kind !== "atomic" || !type.isOwner)
      throw new TypeError(`${this.layout.name}.${path} is no owner() field`);
    const { file } = this.segment.current() ?? this.content;
    file.requireMapping(`the owner() field ${path}`);
    return { words: file.words, index: offset / 4 };
  }

  /** Ends an open session (a writer's is rolled back), lets the lock go, unmaps. */
  close(): void {
    if (this.closed) return;
    const { holding } = this;
    try {
      if (holding !== undefined) {
        holding.isAbandoned = true;
        holding.session?.abandon();
      }
    } finally {
      this.segment.close();
      this.#ownership?.close();
      this.#live = undefined;
      this.#newest = undefined;
    }
  }
}

const newHolding = (mode: LockMode, scope: Holding["scope"]): Holding => ({
  mode,
  scope,
  session: undefined,
  isAbandoned: false,
  isOver: false,
});

/** What an existing file was made with must be what the options say, if they say it. @throws FileFormatError */
function checkAgreement({ file, transactional }: RecordContent, options: ManagerOptions): void {
  const made = { lock: file.lockKind, transactional };
  for (const name of ["lock", "transactional"] as const) {
    if (options[name] === undefined || options[name] === made[name]) continue;
    const [is, wanted] = [made[name], options[name]].map((value) => JSON.stringify(value));
    throw new FileFormatError(
      file.path,
      `'${file.path}' was made with ${name}: ${is}, not ${wanted}; leave the option out, or replace the file with force: true, which erases its content`,
    );
  }
}
