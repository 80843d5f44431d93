/** The few C structs that cross the border here, as bytes. All of 64-bit Linux; `long` is 8 bytes. */
import { nowMs } from "../sys/clock.ts";

const EPOLL_EVENT_INTS = process.arch === "arm64" ? 4 : 3;
const EPOLL_FD_INT = process.arch === "arm64" ? 2 : 1;

/**
 * `struct timespec` of a moment `fromNowMs` ahead, on the wall clock, as the timed calls of POSIX want it.
 *
 *     0         8          16
 *     | tv_sec  | tv_nsec  |
 */
export function timespecIn(fromNowMs: number): BigInt64Array {
  const epochMs = nowMs() + fromNowMs;
  const seconds = Math.floor(epochMs / 1000);
  // Rounded up: a wait that ends early would report a timeout that has not passed.
  const nanoseconds = Math.min(999_999_999, Math.ceil((epochMs - seconds * 1000) * 1e6));
  return new BigInt64Array([BigInt(seconds), BigInt(nanoseconds)]);
}

/** `struct mq_attr` as numbers. */
export interface QueueAttributes {
  maxMessages: number;
  maxMessageSize: number;
  currentMessages: number;
}

/**
 * `struct mq_attr`:
 *
 *     0          8            16           24           32              64
 *     | mq_flags | mq_maxmsg  | mq_msgsize | mq_curmsgs | reserved[4]   |
 */
export function packQueueAttributes(maxMessages: number, maxMessageSize: number): BigInt64Array {
  const attributes = new BigInt64Array(8);
  attributes[1] = BigInt(maxMessages);
  attributes[2] = BigInt(maxMessageSize);
  return attributes;
}

/** The way back. */
export function unpackQueueAttributes(attributes: BigInt64Array): QueueAttributes {
  return {
    maxMessages: Number(attributes[1]),
    maxMessageSize: Number(attributes[2]),
    currentMessages: Number(attributes[3]),
  };
}

/**
 * `struct pollfd` for one descriptor:
 *
 *     0     4        6         8
 *     | fd  | events | revents |
 */
export const pollfd = (fd: number, events: number): Int32Array => new Int32Array([fd, events]);

/**
 * `struct sigevent`; `value` is the signal's value, or for SIGEV_THREAD the address of the cookie, and `signal`
 * is then the netlink socket:
 *
 *     0             8             12             16        64
 *     | sigev_value | sigev_signo | sigev_notify | union   |
 */
export function sigevent(notify: number, signal: number, value: number): Uint8Array {
  const event = new DataView(new ArrayBuffer(64));
  event.setBigUint64(0, BigInt(value), true);
  event.setInt32(8, signal, true);
  event.setInt32(12, notify, true);
  return new Uint8Array(event.buffer);
}

/**
 * `struct epoll_event` for a descriptor, packed on x86-64 only:
 *
 *     x86-64   0        4          12        arm64   0        4        8          16
 *              | events | data.fd  |                 | events | (pad)  | data.fd  |
 */
export function epollEvent(events: number, fd: number): Int32Array {
  const event = new Int32Array(EPOLL_EVENT_INTS);
  event[0] = events;
  event[EPOLL_FD_INT] = fd;
  return event;
}

/** Room for `count` of them. */
export const epollEvents = (count: number): Int32Array => new Int32Array(count * EPOLL_EVENT_INTS);

/** The descriptor of the `index`th. */
export const epollEventFd = (events: Int32Array, index: number): number =>
  events[index * EPOLL_EVENT_INTS + EPOLL_FD_INT]!;
