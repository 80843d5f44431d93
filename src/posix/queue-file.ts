/** A message queue as a descriptor: opening it, its limits, and which limit was in the way. */

import { makeFd } from "../sys/descriptor.ts";
import { readText } from "../sys/file.ts";
import { cstring, lastErrno } from "../sys/libc/call.ts";
import { E, O_NONBLOCK } from "../sys/libc/constants.ts";
import { queues } from "../sys/libc/posix.ts";
import { checkObjectName } from "../sys/shared-memory-file.ts";
import { packQueueAttributes, type QueueAttributes, unpackQueueAttributes } from "./c-structs.ts";
import { QUEUE_MESSAGE_SIZE_MAX_DEFAULT, QUEUE_MESSAGES_MAX_DEFAULT, queueLimit } from "./constants.ts";
import { openHints, posixCheck, posixError } from "./errors.ts";
import { checkInteger } from "./names.ts";

/** Longest name of a message queue in bytes, without its slash. */
export const QUEUE_NAME_BYTES_MAX = 255;

/** How large a queue that is created shall be. */
export interface QueueLimits {
  maxMessages: number;
  maxMessageSize: number;
}

/**
 * The limits that were asked for, the defaults for the rest.
 * @param structBytes bytes of the structs that the queue is to carry, if it is for structs
 * @throws TypeError, RangeError for what can be no limit
 */
export function limitsOf(
  options: { [K in keyof QueueLimits]?: QueueLimits[K] | undefined },
  structBytes: number | undefined,
): QueueLimits {
  const {
    maxMessages = QUEUE_MESSAGES_MAX_DEFAULT,
    maxMessageSize = structBytes ?? QUEUE_MESSAGE_SIZE_MAX_DEFAULT,
  } = options;
  checkInteger("maxMessages", maxMessages, 1, Number.MAX_SAFE_INTEGER);
  checkInteger("maxMessageSize", maxMessageSize, structBytes ?? 1, Number.MAX_SAFE_INTEGER);
  return { maxMessages, maxMessageSize };
}

/**
 * Opens or creates a queue and returns its descriptor. It is always non-blocking to the kernel: what waits is poll(2),
 * which a signal interrupts whatever its handler's flags.
 * @throws TypeError, RangeError for a wrong name; PosixError, which names the limit that was exceeded
 */
export function openQueue(name: string, flags: number, mode = 0o600, limits: QueueLimits): number {
  checkObjectName(name, QUEUE_NAME_BYTES_MAX, "message queue");
  const attributes = packQueueAttributes(limits.maxMessages, limits.maxMessageSize);
  // SAFETY: libc reads the name up to its NUL and the 64 bytes of a struct mq_attr.
  const fd = makeFd(queues().mq_open, [cstring(name), flags | O_NONBLOCK, mode, attributes]);
  if (fd >= 0) return fd;
  const errno = lastErrno();
  throw posixError("mq_open", errno, name, limitHint(errno, limits) ?? openHints(flags)[errno]);
}

/** The limits of an open queue and how many messages are in it. */
export function queueAttributes(fd: number, name: string): QueueAttributes {
  const attributes = new BigInt64Array(8);
  // SAFETY: libc writes the 64 bytes of a struct mq_attr.
  posixCheck("mq_getattr", queues().mq_getattr(fd, attributes), name);
  return unpackQueueAttributes(attributes);
}

/** The kernel itself says EINVAL, EMFILE or ENOSPC and no more. */
function limitHint(errno: number, { maxMessages, maxMessageSize }: QueueLimits): string | undefined {
  if (errno === E.EINVAL) {
    return (
      `asked for ${maxMessages} messages (limit ${queueLimit("msg_max", 10)}, /proc/sys/fs/mqueue/msg_max) ` +
      `of ${maxMessageSize} bytes (limit ${queueLimit("msgsize_max", 8192)}, /proc/sys/fs/mqueue/msgsize_max)`
    );
  }
  if (errno === E.EMFILE) {
    return (
      `all queues of a user together may take ${queueBytesLimit()} bytes (RLIMIT_MSGQUEUE, ulimit -q) and this one ` +
      `takes more than ${maxMessages * maxMessageSize}; or this process has too many files open (ulimit -n)`
    );
  }
  if (errno !== E.ENOSPC) return undefined;
  return `the system has ${queueLimit("queues_max", 256)} queues, its limit (/proc/sys/fs/mqueue/queues_max)`;
}

function queueBytesLimit(): string {
  try {
    return /^Max msgqueue size\s+(\S+)/m.exec(readText("/proc/self/limits"))![1]!;
  } catch {
    return "an unknown number of";
  }
}
