/** Waiting for a job, or for room: asleep in the kernel, or without blocking the event loop. */
import { after, checkSignal, Deadline } from "../sync/deadline.ts";
import type { Changes } from "../sync/notifier.ts";
import { nowMs } from "../sys/clock.ts";
import { yieldProcessor } from "../sys/yield-processor.ts";
import type { TakeAsyncOptions } from "./options.ts";
import type { QueueContent } from "./queue-content.ts";

/** All that sleep look this often, in milliseconds, whether an owner has died. */
const LOOK_EVERY_MS = 1000;
/**
 * Who finds nothing lets others run so often before it sleeps. Where there are more processes than processors they have then pushed
 * or taken several jobs, and not one, which would take a sleep and a wake each.
 */
const YIELDS_BEFORE_SLEEP = 4;

/** What is waited for: a job, or room for one. */
type Awaited = "ready" | "free";

/** What a wait needs of its queue. */
export interface Waiting {
  /** The content that the queue has open. */
  attached(): QueueContent;
  /** The content that is open once the queue has moved to the file that is there now. @throws ClosedError */
  current(): QueueContent;
  /** @throws FileMissingError, FileFormatError when the files were deleted or truncated by hand */
  look(): void;
  lookOnceASecond(): void;
  changes(signal: AbortSignal | undefined): Changes;
  isClosed(): boolean;
}

/** Calls `attempt` until it gives something: a few times at once, then asleep, and so on. */
export function waitFor<R>(
  queue: Waiting,
  what: Awaited,
  timeoutMs: number | undefined,
  attempt: () => R | undefined,
): R | undefined {
  const deadline = new Deadline(timeoutMs);
  for (let isBusy = true; ; ) {
    const soon = isBusy ? attemptSoon(deadline, attempt) : undefined;
    if (soon !== undefined) return soon;
    const sleepers = queue.current()[what];
    const seen = sleepers.enter();
    try {
      const result = attempt();
      const { leftMs } = deadline;
      if (result !== undefined || leftMs === 0) return result;
      queue.lookOnceASecond();
      const content = queue.attached();
      if (content[what] === sleepers)
        isBusy = sleepers.sleep(seen, Math.min(leftMs, patienceMs(content, what)));
    } finally {
      if (queue.attached()[what] === sleepers) sleepers.leave();
    }
  }
}

function attemptSoon<R>(deadline: Deadline, attempt: () => R | undefined): R | undefined {
  for (let i = 0; i < YIELDS_BEFORE_SLEEP && !deadline.isOver; i++) {
    yieldProcessor();
    const result = attempt();
    if (result !== undefined) return result;
  }
  return undefined;
}

/** How long to sleep at most: until a delayed job is due, or the dead are to be looked for. A push waits for no job. */
function patienceMs({ slots: { dueMs } }: QueueContent, what: Awaited): number {
  if (what === "free" || !Number.isFinite(dueMs)) return LOOK_EVERY_MS;
  return Math.max(1, Math.min(LOOK_EVERY_MS, dueMs - nowMs()));
}

/** Like `waitFor`, without blocking the event loop. */
export async function waitForAsync<R>(
  queue: Waiting,
  where: "pushAsync" | "takeAsync",
  { timeoutMs, signal: given }: TakeAsyncOptions,
  attempt: () => R | undefined,
): Promise<R | undefined> {
  const deadline = new Deadline(timeoutMs);
  const signal = checkSignal(where, given);
  const what = where === "takeAsync" ? "ready" : "free";
  signal?.throwIfAborted();
  const atOnce = attempt();
  if (atOnce !== undefined) return atOnce;
  await using changes = queue.changes(signal);
  for (let next = new LongWait(changes.next()); ; ) {
    const result = attempt();
    const { leftMs } = deadline;
    if (result !== undefined || leftMs === 0) return result;
    queue.look();
    const turn = await next.forMs(Math.min(leftMs, patienceMs(queue.attached(), what)));
    if (turn?.done || queue.isClosed()) return undefined;
    if (turn !== undefined) next = new LongWait(changes.next());
  }
}

/** A promise that is waited for again and again. `Promise.race` would leave a little at it each time, until it settles. */
class LongWait<R> {
  readonly #promise: Promise<R>;
  #wake: (result: Promise<R> | undefined) => void = () => {};
  #settled = false;

  constructor(promise: Promise<R>) {
    this.#promise = promise;
    const settle = (): void => {
      this.#settled = true;
      this.#wake(promise);
    };
    promise.then(settle, settle);
  }

  /** What the promise gives, or undefined after some milliseconds. Leaves no timer behind. */
  async forMs(milliseconds: number): Promise<R | undefined> {
    if (this.#settled) return await this.#promise;
    const { promise, resolve } = Promise.withResolvers<R | undefined>();
    this.#wake = resolve;
    const callOff = after(milliseconds, () => resolve(undefined));
    try {
      return await promise;
    } finally {
      callOff();
    }
  }
}
