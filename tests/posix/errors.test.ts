import { afterEach, describe, expect, setDefaultTimeout, test } from "bun:test";
import { SystemError } from "../../src/errors/errors.ts";
import { asPosixErrors, letSignalThrough, openHints, posixError, timedOut } from "../../src/posix/errors.ts";
import {
  BusyError,
  ExistentialError,
  MessageQueue,
  O_CREX,
  PermissionsError,
  PosixError,
  Semaphore,
  SharedMemory,
  ShmError,
  SignalError,
  unlinkMessageQueue,
  unlinkSemaphore,
  unlinkSharedMemory,
} from "../../src/posix/index.ts";
import { Notification } from "../../src/posix/notification.ts";
import { E } from "../../src/sys/libc/constants.ts";
import { isEmulated } from "../support/platform.ts";
import { thrownBy } from "../support/thrown.ts";
import { linesOf } from "../support/tools.ts";
import { freshName, startBun, unlinkNames } from "./support.ts";

// Children, threads and long loops take their time on a busy machine.
setDefaultTimeout(240_000);

afterEach(unlinkNames);

describe("errors", () => {
  test.each([
    [E.ENOENT, ExistentialError],
    [E.EEXIST, ExistentialError],
    [E.EACCES, PermissionsError],
    [E.EPERM, PermissionsError],
    [E.EAGAIN, BusyError],
    [E.ETIMEDOUT, BusyError],
    [E.EBUSY, BusyError],
    [E.EINTR, SignalError],
    [E.ENOSPC, PosixError],
  ])("errno %i is thrown by its class, under one base", (errno, ErrorClass) => {
    const error = posixError("mq_open", errno, "/name", "do this");
    expect(error.constructor).toBe(ErrorClass);
    expect(error.name).toBe(ErrorClass.name);
    for (const Base of [PosixError, SystemError, ShmError, Error]) expect(error).toBeInstanceOf(Base);
    expect(error).toMatchObject({ errno, syscall: "mq_open", path: "/name" });
    expect(error.message).toContain("mq_open '/name' failed");
    expect(error.message).toEndWith("do this");
  });

  test("errors of the rooms below get the class of their errno, others pass", () => {
    const below = () => {
      throw new SystemError("shm_open", E.ENOENT, "ENOENT", "/x");
    };
    expect(() => asPosixErrors(undefined, below)).toThrow(ExistentialError);
    expect(thrownBy(() => asPosixErrors("/other", below))).toMatchObject({ path: "/other" });
    const wrongType = () => {
      throw new TypeError("no");
    };
    expect(() => asPosixErrors("/x", wrongType)).toThrow(TypeError);
  });

  test("a timeout of 0 is EAGAIN, another one ETIMEDOUT with its milliseconds", () => {
    expect(timedOut("sem_trywait", "/x", 0).code).toBe("EAGAIN");
    expect(timedOut("sem_timedwait", "/x", 12).message).toContain("waited 12 ms");
  });

  test("an interrupted wait throws only if JavaScript listens for a signal", () => {
    letSignalThrough("poll", "/x");
    const listener = () => {};
    process.on("SIGUSR2", listener);
    expect(() => letSignalThrough("poll", "/x")).toThrow(SignalError);
    process.off("SIGUSR2", listener);
    letSignalThrough("poll", "/x");
  });

  test("the error of a missing object says what would make it; its unlink's does not", () => {
    for (const Class of [Semaphore, MessageQueue, SharedMemory]) {
      const open = () => new Class({ name: freshName() });
      expect(open).toThrow(ExistentialError);
      expect(open).toThrow(/ENOENT .*; flags: O_CREAT would make it/);
    }
    for (const unlink of [unlinkSemaphore, unlinkMessageQueue, unlinkSharedMemory])
      expect(() => unlink(freshName())).toThrow(/ENOENT \(errno 2\)$/);
  });

  test("a hint of mq_notify is for the errno that it explains", () => {
    using queue = new MessageQueue({ name: freshName(), flags: O_CREX, maxMessages: 1, maxMessageSize: 8 });
    using other = new MessageQueue({ name: queue.name });
    if (isEmulated) {
      expect(() => queue.requestNotification("SIGUSR2")).toThrow(
        /ENOSYS .*; this system has no notifications/,
      );
      return;
    }
    queue.requestNotification("SIGUSR2");
    expect(() => other.requestNotification("SIGUSR2")).toThrow(/EBUSY .*; a process has asked/);
    queue.requestNotification(null);
    const closed = new Notification(-1, "/none");
    expect(String(thrownBy(() => closed.request("SIGUSR2")))).toEndWith("EBADF (errno 9)");
  });

  test("a hint about a missing object is for ENOENT, and fits the flags", () => {
    // Only without O_CREAT would O_CREAT help.
    expect(openHints(0)[E.ENOENT]).toContain("O_CREAT");
    expect(openHints(O_CREX)[E.ENOENT]).toBeUndefined();
    expect(openHints(0)[E.EACCES]).toBeUndefined();
  });

  test("what the permissions forbid is a PermissionsError", async () => {
    const [name, memoryName] = [freshName(), freshName()];
    using _semaphore = new Semaphore({ name, flags: O_CREX, mode: 0 });
    using _queue = new MessageQueue({ name, flags: O_CREX, mode: 0, maxMessages: 1, maxMessageSize: 8 });
    using _memory = new SharedMemory({ name: memoryName, flags: O_CREX, mode: 0, size: 8 });
    const lines = await Array.fromAsync(linesOf(startBun("posix-unprivileged.ts", name, memoryName).stdout));
    expect(lines).toEqual(new Array(3).fill("PermissionsError EACCES"));
  });
});
