/** What the current JavaScript thread does with each lock file: what would be a wait for oneself shows here. */
import { lastErrno } from "../sys/libc/call.ts";
import { E, F_GETOWN_EX, F_OWNER_TID, F_SETOWN_EX, SYS_gettid } from "../sys/libc/constants.ts";
import { libc, linux } from "../sys/libc/symbols.ts";
import { after } from "./deadline.ts";
import type { LockMode } from "./file-lock.ts";
import { type LockQuestion, ownDescriptors } from "./holders.ts";
import type { Pause } from "./wait-line.ts";

/** How soon an event loop looks again: a sixteenth of the time that it waits already, within these bounds. */
const LOOK_MS_MIN = 1;
const LOOK_MS_MAX = 5;

/** An asynchronous reader that waits longer than this for a writer in line may be the one that the writer waits for. */
const NESTED_AFTER_MS = 100;

/** An object that may hold a lock. */
export interface ThreadUser {
  readonly held: LockMode | undefined;
  /** Gives back what an interrupted call of it may have left held. */
  heal(): void;
}

/**
 * What copies of this library share in one thread: two versions in node_modules, or both generations under `bun --hot`. Only
 * ever extend it: an older copy may have made it.
 */
interface ThreadRecord {
  /** Weak, as a generation that was replaced gives its locks back when it is collected. */
  users: Set<WeakRef<ThreadUser>>;
  /** Asynchronous waits, each by what lets it try again. */
  waits: Set<() => void>;
  nestedAfterMs: number;
  isWaking: boolean;
}

/** By device and inode. A worker is a thread with a global object, hence with a registry, of its own. */
const REGISTRY = Symbol.for("shmstruct.thread-locks.1");
const registry = sharedRegistry(globalThis as { [REGISTRY]?: Map<string, ThreadRecord> });

function sharedRegistry(realm: { [REGISTRY]?: Map<string, ThreadRecord> }): Map<string, ThreadRecord> {
  realm[REGISTRY] ??= new Map();
  return realm[REGISTRY];
}

/** The locks on one lock file, through whichever descriptors, in this thread. */
export class ThreadLocks {
  readonly #key: string;
  readonly #record: ThreadRecord;
  readonly #user: WeakRef<ThreadUser>;

  /**
   * @param key `FileStatus.id` of the lock file
   * @param user belongs to this thread until `drop()`
   */
  constructor(key: string, user: ThreadUser) {
    this.#key = key;
    this.#record = registry.get(key) ?? {
      users: new Set(),
      waits: new Set(),
      nestedAfterMs: NESTED_AFTER_MS,
      isWaking: false,
    };
    registry.set(key, this.#record);
    this.#user = new WeakRef(user);
    this.#record.users.add(this.#user);
  }

  /** The kernel's locks cannot wake an event loop: a line looks now and then, and when this thread gave one back. */
  readonly pause: Pause = (wake, waitedMs) => {
    const { waits } = this.#record;
    waits.add(wake);
    const callOff = after(Math.min(LOOK_MS_MAX, Math.max(LOOK_MS_MIN, waitedMs / 16)), wake);
    return () => {
      callOff();
      waits.delete(wake);
    };
  };

  /** The user is closed. */
  drop(): void {
    this.#record.users.delete(this.#user);
    if (this.#record.users.size === 0) registry.delete(this.#key);
  }

  /** Whether asynchronous waits of this thread are pending. */
  get hasWaits(): boolean {
    return this.#record.waits.size > 0;
  }

  /** Whether a lock is held in this mode. */
  holds(mode: LockMode): boolean {
    for (const reference of this.#record.users) {
      const user = reference.deref();
      if (user === undefined) this.#record.users.delete(reference);
      else if (user.held === mode) return true;
    }
    return false;
  }

  /** The held mode that excludes `mode`, if there is one. */
  conflictWith(mode: LockMode): LockMode | undefined {
    if (this.holds("exclusive")) return "exclusive";
    return mode === "exclusive" && this.holds("shared") ? "shared" : undefined;
  }

  /** Has all users give back what interrupted calls may have left held. */
  heal(): void {
    for (const reference of [...this.#record.users]) reference.deref()?.heal();
  }

  /** After how long a reader of this thread goes past the queue, while the thread holds the lock shared. */
  get nestedAfterMs(): number {
    return this.#record.nestedAfterMs;
  }

  set nestedAfterMs(milliseconds: number) {
    this.#record.nestedAfterMs = milliseconds;
  }

  /** A lock was given back: what waits in this thread tries again, after the code that runs now. */
  released(): void {
    const record = this.#record;
    if (record.nestedAfterMs !== NESTED_AFTER_MS && !this.holds("shared"))
      record.nestedAfterMs = NESTED_AFTER_MS;
    if (record.waits.size === 0 || record.isWaking) return;
    record.isWaking = true;
    setImmediate(() => {
      record.isWaking = false;
      for (const retry of [...record.waits]) retry();
    });
  }
}

/** struct f_owner_ex: i32 type, i32 pid. The kernel reads or writes it during a call only. */
const owner = new Int32Array(2);

let tid = 0;

function threadId(): number {
  tid ||= Number(linux().syscall(SYS_gettid, null, 0, 0, null, null, 0));
  return tid;
}

/**
 * Writes the thread's number to the open file, where every copy of this library in the process finds it, in whatever realm.
 * No signal is ever sent to the owner of a regular file.
 */
export function markAsOurs(fd: number): void {
  owner[0] = F_OWNER_TID;
  owner[1] = threadId();
  // Where it fails, only a deadlock between two realms goes unseen.
  libc().fcntl(fd, F_SETOWN_EX, owner);
}

/** The mode in which this thread holds the lock through a descriptor of another realm, such as an earlier file of `bun test --isolate`. */
export function heldInOtherRealm(question: LockQuestion): LockMode | undefined {
  const modes = ownDescriptors(question)
    .filter(({ fd }) => fd !== question.fd && ownerOf(fd) === threadId())
    .map(({ mode }) => mode);
  return modes.includes("exclusive") ? "exclusive" : modes[0];
}

function ownerOf(fd: number): number | undefined {
  owner.fill(-1);
  if (libc().fcntl(fd, F_GETOWN_EX, owner) < 0 && lastErrno() !== E.EINTR) return undefined;
  return owner[0] === F_OWNER_TID ? owner[1] : undefined;
}
