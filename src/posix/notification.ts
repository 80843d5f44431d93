/**
 * Being told, once, that a message came into an empty queue (mq_notify(3)). A thread started by C must not call
 * into JavaScript, and signals belong to the program; but the kernel can also write a cookie to a netlink socket,
 * which is how glibc learns when to start its threads. A socket is what Bun's event loop can wait for.
 */

import type { Socket } from "bun";
import { os } from "../sys/builtin.ts";
import type { Hints } from "../sys/libc/call.ts";
import { E } from "../sys/libc/constants.ts";
import { addressOf } from "../sys/libc/ffi.ts";
import {
  AF_NETLINK,
  linuxEvents,
  SIGEV_SIGNAL,
  SIGEV_THREAD,
  SOCK_CLOEXEC,
  SOCK_NONBLOCK,
  SOCK_RAW,
  SYS_mq_notify,
} from "../sys/libc/posix.ts";
import { sigevent } from "./c-structs.ts";
import { posixCheck } from "./errors.ts";
import { checkInteger } from "./names.ts";

/**
 * How to be told: a call from the event loop, or a signal by number or name.
 * @example const target: NotificationTarget = "SIGUSR1";
 */
export type NotificationTarget = (() => void) | number | NodeJS.Signals;

/**
 * The cookie that comes back through the socket; the kernel sets its last byte:
 *
 *     0          4                        31     32
 *     | request  | 0                      | why  |
 */
const COOKIE_BYTES = 32;
const WHY_OFFSET = 31;
/** A message came; otherwise the request is gone, because a handle of this process on the queue was closed. */
const WOKEN_UP = 1;

/** The request of one queue handle. */
export class Notification {
  readonly #queueFd: number;
  readonly #name: string;
  #socket: Socket | undefined;
  #socketFd = -1;
  /** The number of the request that stands or stood last; a refused one does not count. */
  #request = 0;
  /** What a request gives to the kernel. */
  readonly #cookie = new Uint32Array(COOKIE_BYTES / 4);
  #callback: (() => void) | undefined;

  constructor(queueFd: number, name: string) {
    this.#queueFd = queueFd;
    this.#name = name;
  }

  /** Asks for one notification, or takes the request back. */
  request(target: NotificationTarget | null): void {
    if (target === null) this.#cancel();
    else if (typeof target === "function") this.#requestCallback(target);
    else this.#notify(sigevent(SIGEV_SIGNAL, signalNumber(target), 0));
  }

  /** Gives the socket back. The kernel drops the request when the queue's descriptor is closed. */
  close(): void {
    this.#callback = undefined;
    this.#socket?.terminate();
    this.#socket = undefined;
  }

  #cancel(): void {
    this.#callback = undefined;
    this.#socket?.unref();
    this.#notify(null);
  }

  #requestCallback(callback: () => void): void {
    const socketFd = this.#socket === undefined ? this.#connect() : this.#socketFd;
    const request = this.#request + 1;
    this.#cookie[0] = request;
    // SAFETY: the cookie lives as long as this object, and the kernel copies it during the call.
    this.#notify(sigevent(SIGEV_THREAD, socketFd, addressOf(this.#cookie)));
    this.#request = request;
    this.#callback = callback;
    this.#socket?.ref();
  }

  #notify(event: Uint8Array | null): void {
    const result = linuxEvents().syscall(SYS_mq_notify, this.#queueFd, event);
    posixCheck("mq_notify", result, this.#name, NOTIFY_HINTS);
  }

  /** A new netlink socket, watched by the event loop; its descriptor belongs to Bun's socket from then on. */
  #connect(): number {
    const type = SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK;
    const watched = {
      fd: -1,
      socket: {
        // Called before connect returns, as there is nothing to wait for. Only a standing request keeps us alive.
        open: (socket) => {
          socket.unref();
          this.#socket = socket;
        },
        data: (_socket, cookies) => this.#read(cookies),
      } satisfies Bun.SocketHandler<undefined>,
    };
    const { socket: open } = linuxEvents();
    // No call of JavaScript stands between the two, as a terminated worker ends at one: the descriptor would stay open.
    watched.fd = open(AF_NETLINK, type, 0);
    if (watched.fd >= 0) void Bun.connect(watched as ConnectOptions);
    this.#socketFd = posixCheck("socket", watched.fd, this.#name, NETLINK_HINTS);
    return watched.fd;
  }

  /** A cookie of an earlier request may still be on its way: only the present one counts. */
  #read(cookies: Buffer): void {
    for (let offset = 0; offset + COOKIE_BYTES <= cookies.length; offset += COOKIE_BYTES) {
      const isPresent = cookies.readUInt32LE(offset) === this.#request;
      if (isPresent) this.#end(cookies[offset + WHY_OFFSET] === WOKEN_UP);
    }
  }

  /** Once per request. What the callback throws is an uncaught exception, as from a timer. */
  #end(messageCame: boolean): void {
    const callback = this.#callback;
    this.#callback = undefined;
    this.#socket?.unref();
    if (messageCame && callback !== undefined) queueMicrotask(callback);
  }
}

const NOTIFY_HINTS: Hints = {
  [E.EBUSY]: "a process has asked for a notification of this queue already",
  [E.ENOSYS]:
    "this system has no notifications (emulation by qemu has none); receiveAsync waits without them",
};
const NETLINK = "callbacks need a netlink socket, which this system refuses; ask for a signal instead";
const NETLINK_HINTS: Hints = {
  [E.EACCES]: NETLINK,
  [E.EPERM]: NETLINK,
  [E.EAFNOSUPPORT]: NETLINK,
  [E.EPROTONOSUPPORT]: NETLINK,
};

/** `fd` is in the documented `FdSocketOptions`, but no overload of connect takes that type. */
type ConnectOptions = Bun.FdSocketOptions & Bun.TCPSocketConnectOptions<undefined>;

/** @throws TypeError for a name that is no signal, RangeError for a number that is not one */
function signalNumber(signal: number | NodeJS.Signals): number {
  const { signals } = os().constants;
  if (typeof signal === "string" && Object.hasOwn(signals, signal)) return signals[signal];
  if (typeof signal === "number") return checkInteger("signal", signal, 1, 64);
  throw new TypeError(`${String(signal)} is neither a signal, nor a function, nor null`);
}
