/** The thread behind readiness.ts: sleeps until a descriptor of the epoll set is ready and posts its number. */
import { lastErrno, systemError } from "../sys/libc/call.ts";
import { E } from "../sys/libc/constants.ts";
import { linuxEvents } from "../sys/libc/posix.ts";
import { epollEventFd, epollEvents } from "./c-structs.ts";
import type { WatcherStart } from "./readiness.ts";

declare const self: Worker;

const EVENTS_MAX = 64;

/** Waits without end; the descriptors that became ready, none after a signal. */
function readyDescriptors(epollFd: number, events: Int32Array): number[] {
  // SAFETY: the kernel writes at most EVENTS_MAX events, for which `events` has room.
  const count = linuxEvents().epoll_wait(epollFd, events, EVENTS_MAX, -1);
  if (count < 0) {
    const errno = lastErrno();
    if (errno !== E.EINTR) throw systemError("epoll_wait", errno);
  }
  return Array.from({ length: Math.max(0, count) }, (_, index) => epollEventFd(events, index));
}

self.onmessage = ({ data }: MessageEvent<WatcherStart>) => {
  const events = epollEvents(EVENTS_MAX);
  for (;;) {
    const ready = readyDescriptors(data.epollFd, events);
    if (ready.length > 0) self.postMessage(ready);
  }
};
