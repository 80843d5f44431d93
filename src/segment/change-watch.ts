/** How the users of a segment learn that its content has changed, whichever file holds it. */
import { DeadlockError, ShmError } from "../errors/errors.ts";
import type { LockPage } from "../sync/lock-page.ts";
import { type Changes, type ChangesOptions, Notifier, type WaitOptions } from "../sync/notifier.ts";
import type { RwLock } from "../sync/rw-lock.ts";
import { type Content, NO_FILE, type State } from "./content.ts";
import type { Segment } from "./segment.ts";

const TWO_TO_THE_32 = 2 ** 32;

/** A replacement is announced without a commit, perhaps a moment later, as are the commits of writers before it. */
const PENDING = 4;

/**
 * Counts the states that it sees. A version that comes round again is another state too: an older copy was restored in
 * place, and commits have followed. That shows on the lock page, which counts all commits and is not restored: it is
 * then further ahead of the version than ever before.
 */
export class ChangeWatch {
  readonly #segment: Segment<Content>;
  readonly #signal: Notifier;
  /** What `wait` has reported. */
  #reported = 0;
  #states = 0;
  #state: State;
  #page: LockPage | undefined;
  /** How far the page's count of commits was ahead of the version, at most. */
  #lead = 0;
  /** A new file is announced once it has its name, so perhaps after it was opened here. That is no commit. */
  #awaitsAnnouncement: boolean;

  /** @param opened the state that counts as number 0 */
  constructor(segment: Segment<Content>, opened: State) {
    this.#segment = segment;
    this.#state = opened;
    this.#page = pageOf(segment);
    const changes = this.#page?.changes ?? 0;
    // Of now: the commits since the segment was opened stand on the page too.
    const { version } = this.#look();
    this.#lead = (changes - (version % TWO_TO_THE_32)) | 0;
    this.#awaitsAnnouncement = isNewFiles(version);
    this.#signal = new Notifier({ lock: segment.lock, read: () => this.#count() });
  }

  /** How many states were seen up to the present one. */
  get state(): number {
    return this.#count();
  }

  /** One turn per observed commit, its value the version; -1 while there is no file. */
  changes(options: ChangesOptions): Changes {
    return new VersionChanges(this.#signal.changes(options), () => this.#state.version);
  }

  /** @throws DeadlockError while this thread holds the lock */
  wait(options: WaitOptions): boolean {
    if (this.#segment.isHeldInThread) {
      throw new DeadlockError(
        this.#segment.path,
        "this thread holds the lock itself, so nothing can come while it waits: release the session, close what publishes here, or use a wait that does not block the thread (receiveAsync, changes)",
      );
    }
    if (!this.#signal.wait(this.#reported, options)) return false;
    this.#reported = this.#count();
    return true;
  }

  /** The segment goes by another lock now. To be called before the old one is closed. */
  follow(lock: RwLock): void {
    this.#signal.follow(lock);
  }

  close(): void {
    this.#signal.close();
  }

  #count(): number {
    const page = pageOf(this.#segment);
    // Before the version: a commit in between makes the lead smaller, never larger.
    const changes = page?.changes ?? 0;
    const state = this.#look();
    const lead = (changes - (state.version % TWO_TO_THE_32)) | 0;
    const isNew = this.#isNew(state);
    if (page !== this.#page || state.content !== this.#state.content) {
      this.#lead = (lead + PENDING) | 0;
    } else if (((lead - this.#lead) | 0) > 0) {
      this.#lead = lead;
      if (!isNew && !this.#awaitsAnnouncement) this.#states++;
      this.#awaitsAnnouncement = false;
    }
    this.#page = page;
    if (isNew) {
      this.#states++;
      this.#awaitsAnnouncement = false;
    }
    this.#state = state;
    return this.#states;
  }

  #isNew({ version, mark, content }: State): boolean {
    const before = this.#state;
    return version !== before.version || mark !== before.mark || content !== before.content;
  }

  #look(): State {
    const segment = this.#segment;
    try {
      const state = this.#lookOnce();
      // What is new came by this lock. Before a sleep there is a look that finds nothing new.
      if (this.#isNew(state)) return state;
      const { lock } = segment;
      segment.followLock();
      return lock === segment.lock ? state : this.#lookOnce();
    } catch (error) {
      // Looked at from a timer or a thread's message: the user gets the error from what they call next.
      if (error instanceof ShmError) return { version: NO_FILE, mark: undefined, content: undefined };
      throw error;
    }
  }

  #lookOnce(): State {
    const content = this.#segment.whole();
    return { version: content?.version ?? NO_FILE, mark: content?.mark, content };
  }
}

/** Whether a file of this version has at most the commit that it was made with. */
const isNewFiles = (version: number): boolean => version % TWO_TO_THE_32 <= 1;

/** The page that counts all commits; of files that other libraries commit to too, it does not. */
const pageOf = (segment: Segment<Content>): LockPage | undefined => {
  if (segment.closed) return undefined;
  const { lock } = segment;
  return lock.kind === "flock" && lock.page?.writable ? lock.page : undefined;
};

/** Changes whose turns tell the version of the state that is newest when they come. */
class VersionChanges implements Changes {
  readonly #states: Changes;
  readonly #version: () => number;

  constructor(states: Changes, version: () => number) {
    this.#states = states;
    this.#version = version;
  }

  async next(): Promise<IteratorResult<number>> {
    const turn = await this.#states.next();
    return turn.done ? turn : { done: false, value: this.#version() };
  }

  return(): Promise<IteratorResult<number>> {
    return this.#states.return();
  }

  [Symbol.asyncIterator](): this {
    return this;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.return();
  }
}
