/** The numbers of POSIX IPC on this system, as posix_ipc names them. */

import { pageSize, readText } from "../sys/file.ts";
import { INT_MAX, isLinux, isMacOS, O_CREAT, O_EXCL } from "../sys/libc/constants.ts";

/** Flags for opening: create if missing; fail if it exists; empty it (memory only). */
export { O_CREAT, O_EXCL, O_TRUNC } from "../sys/libc/constants.ts";

/**
 * `O_CREAT | O_EXCL`: a new object, or an ExistentialError.
 * @example new Semaphore({ name: "/ready", flags: O_CREX });
 */
export const O_CREX: number = O_CREAT | O_EXCL;

/**
 * Bytes in a page of memory (sysconf(3), _SC_PAGESIZE); sizes of shared memory are best multiples of it. 0 on systems that have no POSIX.
 * @example new SharedMemory({ name: "/robot", flags: O_CREAT, size: PAGE_SIZE });
 */
export const PAGE_SIZE: number = isLinux || isMacOS ? pageSize() : 0;

/** Whether `Semaphore.acquire` can wait with a timeout (macOS: no; `acquireAsync` can everywhere). */
export const SEMAPHORE_TIMEOUT_SUPPORTED: boolean = isLinux;

/** Whether `Semaphore.value` can be read (macOS: no). */
export const SEMAPHORE_VALUE_SUPPORTED: boolean = isLinux;

/** Whether there are message queues (macOS: no). */
export const MESSAGE_QUEUES_SUPPORTED: boolean = isLinux;

/** The highest value a semaphore can have, in units (SEM_VALUE_MAX of limits.h). */
export const SEMAPHORE_VALUE_MAX: number = isMacOS ? 32767 : INT_MAX;

/** The highest priority a message can have; 0 is the lowest (sysconf(3), _SC_MQ_PRIO_MAX, minus 1). */
export const QUEUE_PRIORITY_MAX = 32767;

/** A limit of the kernel's message queues, e.g. `"msg_max"`; `otherwise` where it is not told. */
export function queueLimit(file: string, otherwise: number): number {
  try {
    return Number(readText(`/proc/sys/fs/mqueue/${file}`)) || otherwise;
  } catch {
    return otherwise;
  }
}

/** How many messages a new queue holds unless `maxMessages` says otherwise. */
export const QUEUE_MESSAGES_MAX_DEFAULT: number = Math.min(
  queueLimit("msg_default", 10),
  queueLimit("msg_max", 10),
);

/** How many bytes a message of a new queue may have unless `maxMessageSize` says otherwise. */
export const QUEUE_MESSAGE_SIZE_MAX_DEFAULT: number = Math.min(
  queueLimit("msgsize_default", 8192),
  queueLimit("msgsize_max", 8192),
);
