/** `shmstruct/posix`: shared memory, named semaphores and message queues, as posix_ipc gives them to Python. */

export {
  ClosedError,
  FileFormatError,
  ShmError,
  SystemError,
  UnsupportedError,
  UntrustedFileError,
} from "../errors/errors.ts";
export type { MemoryMap } from "../mmap/memory-map.ts";
export type { Access } from "../sys/mapping.ts";
export type { Trust } from "../sys/trust.ts";
export {
  MESSAGE_QUEUES_SUPPORTED,
  O_CREAT,
  O_CREX,
  O_EXCL,
  O_TRUNC,
  PAGE_SIZE,
  QUEUE_MESSAGE_SIZE_MAX_DEFAULT,
  QUEUE_MESSAGES_MAX_DEFAULT,
  QUEUE_PRIORITY_MAX,
  SEMAPHORE_TIMEOUT_SUPPORTED,
  SEMAPHORE_VALUE_MAX,
  SEMAPHORE_VALUE_SUPPORTED,
} from "./constants.ts";
export { BusyError, ExistentialError, PermissionsError, PosixError, SignalError } from "./errors.ts";
export { listPosixObjects, type PosixObject, type PosixObjectList } from "./listing.ts";
export {
  MessageQueue,
  type MessageQueueOptions,
  type Received,
  type SendAsyncOptions,
  type SendOptions,
  unlinkMessageQueue,
} from "./message-queue.ts";
export { type MessageBytes, MessageFormatError, type Sendable } from "./messages.ts";
export type { ObjectOptions } from "./names.ts";
export type { NotificationTarget } from "./notification.ts";
export { Semaphore, SemaphoreHold, type SemaphoreOptions, unlinkSemaphore } from "./semaphore.ts";
export {
  type SharedMapOptions,
  SharedMemory,
  type SharedMemoryOptions,
  unlinkSharedMemory,
} from "./shared-memory.ts";
export type { AsyncWait, Timeout } from "./waiting.ts";
