import type { WaitForFileOptions } from "../segment/wait-for-file.ts";
import type { StructClass } from "../struct/declare/composite.ts";
import type { MmapStructure } from "../struct/declare/header.ts";
import type { DeepReadonly } from "../struct/declare/type-utils.ts";
import type { Layout } from "../struct/layout/layout.ts";
import type { AsyncLockOptions, LockOptions } from "../sync/rw-lock.ts";
import type { Core, Holding } from "./core.ts";
import { files, opening } from "./lazily.ts";
import type { RoleOptions } from "./options.ts";
import { Role } from "./role.ts";
import type { ReadSession } from "./session.ts";

/**
 * Reads a shared struct (IPMMAP's `DataStructMmapReader`), and cannot write it by any way: the compiler, the views
 * (TypeError) and the kernel (PROT_READ) all refuse. Only a Manager makes the file; a Reader without one gets a
 * FileMissingError.
 *
 * @throws FileMissingError when no Manager has made the file, FileFormatError, LayoutMismatchError,
 *   HeaderNotFoundError for a class that does not extend MmapStructure, SystemError
 * @example
 * using reader = new Reader(Robot, { dir: "/run/robot" });
 * console.log(reader.get("pose.x"), reader.snapshot().speed);
 */
export class Reader<T extends MmapStructure> extends Role<T, DeepReadonly<T>> {
  /**
   * Opens the file once a Manager has made it.
   * @throws WaitTimeoutError after `waitMs`; the signal's reason; FileMissingError when no Manager has made the file;
   *   FileFormatError; LayoutMismatchError; HeaderNotFoundError for a class that does not extend MmapStructure; SystemError
   * @example const reader = await Reader.open(Robot, { dir: "/run/robot", waitMs: 5000 });
   */
  static open<T extends MmapStructure>(
    cls: StructClass<T> | string,
    { waitMs, signal, ...options }: RoleOptions & WaitForFileOptions = {},
  ): Promise<Reader<T>> {
    return files().waitForFile("Reader.open", () => new Reader<T>(cls, options), { waitMs, signal });
  }

  protected override open(layout: Layout, options: RoleOptions): Core<T> {
    const { Core, refuseManagerOptions } = opening();
    refuseManagerOptions(`new ${this.constructor.name}`, options);
    return new Core<T>(layout, options, "reader");
  }

  /**
   * Takes the lock, shared with other Readers; waits for a writer.
   * @param options `timeoutMs` in milliseconds; without it there is no limit
   * @throws LockTimeoutError after `timeoutMs`; DeadlockError when this thread holds a conflicting lock itself; ClosedError
   * @throws FileMissingError, FileFormatError or LayoutMismatchError when the file was removed, truncated or replaced
   * @throws TypeError or RangeError for options that are none
   * @example { using session = reader.lock(); console.log(session.data.pose.x); }
   */
  lock(options?: LockOptions): ReadSession<T, DeepReadonly<T>> {
    return this.#open(this.core.acquire("shared", "session", options));
  }

  /**
   * Takes the lock if it is free, else undefined.
   * @throws ClosedError; DeadlockError when this role has a session open; FileMissingError, FileFormatError or
   *   LayoutMismatchError when the file was removed, truncated or replaced
   * @example using session = reader.tryLock(); if (session === undefined) return "busy";
   */
  tryLock(): ReadSession<T, DeepReadonly<T>> | undefined {
    const holding = this.core.tryAcquire("shared");
    return holding && this.#open(holding);
  }

  /**
   * Waits for the lock without blocking the event loop.
   * @throws LockTimeoutError, ClosedError, or the signal's reason
   * @example using session = await reader.lockAsync({ signal: AbortSignal.timeout(100) });
   */
  async lockAsync(options?: AsyncLockOptions): Promise<ReadSession<T, DeepReadonly<T>>> {
    return this.#open(await this.core.acquireAsync("shared", options));
  }

  // A private name, so that to the compiler an Editor, whose lock excludes others, is no Reader.
  #open(holding: Holding): ReadSession<T, DeepReadonly<T>> {
    try {
      const { ReadSession } = opening();
      const session = new ReadSession<T, DeepReadonly<T>>(this.core, holding);
      holding.session = session.held;
      return session;
    } catch (error) {
      holding.isOver = true;
      this.core.drop(holding);
      throw error;
    }
  }
}
