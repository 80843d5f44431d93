/**
 * The symbols of POSIX semaphores and message queues, and what waiting for them takes. On Linux a message queue
 * descriptor is a file descriptor, so poll(2) and epoll(7) can wait for it.
 */
import { isLinux } from "./constants.ts";
import { lazily } from "./symbols.ts";

const isArm64 = process.arch === "arm64";

/** Named semaphores: in libpthread before glibc 2.34, since then in libc, as on musl and macOS. */
export const semaphores = lazily(
  {
    // sem_t *sem_open(const char *name, int oflag, ... /* mode_t mode, unsigned int value */);
    sem_open: { args: ["ptr", "i32", "u32", "u32"], returns: "ptr" },
    // int sem_close(sem_t *sem);
    sem_close: { args: ["ptr"], returns: "i32" },
    // int sem_unlink(const char *name);
    sem_unlink: { args: ["ptr"], returns: "i32" },
    // int sem_post(sem_t *sem);
    sem_post: { args: ["ptr"], returns: "i32" },
    // int sem_trywait(sem_t *sem);
    sem_trywait: { args: ["ptr"], returns: "i32" },
    // int sem_getvalue(sem_t *sem, int *sval);
    sem_getvalue: { args: ["ptr", "ptr"], returns: "i32" },
  },
  isLinux ? ["libpthread.so.0"] : [],
);

/** What macOS lacks. */
export const timedSemaphores = lazily(
  {
    // int sem_timedwait(sem_t *sem, const struct timespec *abs_timeout);
    sem_timedwait: { args: ["ptr", "ptr"], returns: "i32" },
  },
  ["libpthread.so.0"],
);

/** Message queues (Linux): in librt before glibc 2.34. */
export const queues = lazily(
  {
    // mqd_t mq_open(const char *name, int oflag, ... /* mode_t mode, struct mq_attr *attr */);
    mq_open: { args: ["ptr", "i32", "u32", "ptr"], returns: "i32" },
    // int mq_close(mqd_t mqdes);
    mq_close: { args: ["i32"], returns: "i32" },
    // int mq_unlink(const char *name);
    mq_unlink: { args: ["ptr"], returns: "i32" },
    // int mq_getattr(mqd_t mqdes, struct mq_attr *attr);
    mq_getattr: { args: ["i32", "ptr"], returns: "i32" },
    // int mq_send(mqd_t mqdes, const char *msg_ptr, size_t msg_len, unsigned int msg_prio);
    mq_send: { args: ["i32", "ptr", "u64", "u32"], returns: "i32" },
    // ssize_t mq_receive(mqd_t mqdes, char *msg_ptr, size_t msg_len, unsigned int *msg_prio);
    mq_receive: { args: ["i32", "ptr", "u64", "ptr"], returns: "i64" },
  },
  ["librt.so.1"],
);

/** Waiting for descriptors, in this thread. */
export const polling = lazily({
  // int poll(struct pollfd *fds, nfds_t nfds, int timeout);
  poll: { args: ["ptr", "u64", "i32"], returns: "i32" },
});

/** Linux only: waiting for descriptors from another thread, and the kernel's own form of mq_notify. */
export const linuxEvents = lazily({
  // int epoll_create1(int flags);
  epoll_create1: { args: ["i32"], returns: "i32" },
  // int epoll_ctl(int epfd, int op, int fd, struct epoll_event *event);
  epoll_ctl: { args: ["i32", "i32", "i32", "ptr"], returns: "i32" },
  // int epoll_wait(int epfd, struct epoll_event *events, int maxevents, int timeout);
  epoll_wait: { args: ["i32", "ptr", "i32", "i32"], returns: "i32" },
  // int socket(int domain, int type, int protocol);
  socket: { args: ["i32", "i32", "i32"], returns: "i32" },
  // long syscall(SYS_mq_notify, mqd_t mqdes, const struct sigevent *sevp);
  syscall: { args: ["i64", "i64", "ptr"], returns: "i64" },
});

// <sys/epoll.h>, <poll.h>
export const EPOLL_CLOEXEC = 0o2000000;
export const EPOLL_CTL_ADD = 1;
export const EPOLL_CTL_DEL = 2;
export const EPOLL_CTL_MOD = 3;
export const EPOLLONESHOT = 0x4000_0000;
/** `POLLIN` and `EPOLLIN`: something can be received. */
export const POLLIN = 1;
/** `POLLOUT` and `EPOLLOUT`: something can be sent. */
export const POLLOUT = 4;

// <signal.h>, <sys/syscall.h>, <sys/socket.h>
export const SIGEV_SIGNAL = 0;
/** To the kernel this means: write the cookie to a netlink socket (glibc then starts a thread). */
export const SIGEV_THREAD = 2;
export const SYS_mq_notify = isArm64 ? 184 : 244;
export const AF_NETLINK = 16;
export const SOCK_RAW = 3;
export const SOCK_CLOEXEC = 0o2000000;
export const SOCK_NONBLOCK = 0o4000;
