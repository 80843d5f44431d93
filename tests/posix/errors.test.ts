import { afterEach, describe, expect, setDefaultTimeout, test } from "bun:test";
import { SystemError } from "../../src/errors/errors.ts";
import { asPosixErrors, letSignalThrough, posixError, timedOut } from "../../src/posix/errors.ts";
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
import { E } from "../../src/sys/libc/constants.ts";
import { freshName, linesOf, startBun, thrownBy, unlinkNames } from "./support.ts";

// Children, threads and long loops take their time on a busy machine.
setDefaultTimeout(60_000);

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

  test("errors of the rooms below are sorted in, others pass", () => {
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

  test("what is not there says what would make it; its unlink does not", () => {
    for (const Class of [Semaphore, MessageQueue, SharedMemory]) {
      const open = () => new Class({ name: freshName() });
      expect(open).toThrow(ExistentialError);
      expect(open).toThrow(/ENOENT .*; flags: O_CREAT would make it/);
    }
    for (const unlink of [unlinkSemaphore, unlinkMessageQueue, unlinkSharedMemory])
      expect(() => unlink(freshName())).toThrow(/ENOENT \(errno 2\)$/);
  });

  test("what the permissions forbid is a PermissionsError", async () => {
    const name = freshName();
    using _semaphore = new Semaphore({ name, flags: O_CREX, mode: 0 });
    using _queue = new MessageQueue({ name, flags: O_CREX, mode: 0, maxMessages: 1, maxMessageSize: 8 });
    using _memory = new SharedMemory({ name, flags: O_CREX, mode: 0, size: 8 });
    const lines = await Array.fromAsync(linesOf(startBun("posix-unprivileged.ts", name)));
    expect(lines).toEqual(new Array(3).fill("PermissionsError EACCES"));
  });
});
