import { afterEach, describe, expect, setDefaultTimeout, test } from "bun:test";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { MessageQueue, O_CREX } from "../../src/posix/index.ts";
import { untilReady } from "../../src/posix/readiness.ts";
import { POLLIN, POLLOUT } from "../../src/sys/libc/posix.ts";
import { descriptorsOf } from "../support/resources.ts";
import { linesOf } from "../support/tools.ts";
import { freshName, nextLine, startBun, unlinkNames } from "./support.ts";

// Children, threads and long loops take their time on a busy machine.
setDefaultTimeout(240_000);

afterEach(unlinkNames);

const create = () =>
  new MessageQueue({ name: freshName(), flags: O_CREX, maxMessages: 1, maxMessageSize: 16 });
const openFiles = () => descriptorsOf("[eventpoll]");

describe("untilReady", () => {
  test("untilReady wakes when the descriptor becomes ready, and when it is already", async () => {
    using queue = create();
    await new Promise<void>((resolve) => untilReady(queue.fd, POLLOUT)(resolve, 0));
    const readable = new Promise<void>((resolve) => untilReady(queue.fd, POLLIN)(resolve, 0));
    queue.send("x");
    await readable;
  });

  test("untilReady wakes no caller that has called it off, and takes no descriptor", async () => {
    using queue = create();
    await new Promise<void>((resolve) => untilReady(queue.fd, POLLOUT)(resolve, 0));
    const before = openFiles();
    let woken = 0;
    for (let i = 0; i < 100; i++) untilReady(queue.fd, POLLIN)(() => woken++, 0)();
    queue.send("x");
    await Bun.sleep(10);
    expect([woken, openFiles()]).toEqual([0, before]);
  });
});

test("a process lives as long as it waits for a descriptor, and no longer", async () => {
  using queue = create();
  const waiter = startBun("posix-async-waiter.ts", queue.name);
  const lines = linesOf(waiter.stdout);
  expect(await nextLine(lines)).toBe("waiting");
  await Bun.sleep(100);
  expect(waiter.exitCode).toBeNull();
  queue.send("go");
  expect(await nextLine(lines)).toBe("go");
  expect(await waiter.exited).toBe(0);
});

test("a bundle, which leaves the thread's file out, waits all the same", async () => {
  const directory = mkdtempSync(join(tmpdir(), "shmstruct-bundle-"));
  try {
    using queue = create();
    const { outputs } = await Bun.build({
      entrypoints: [join(import.meta.dir, "..", "process", "posix-async-waiter.ts")],
      target: "bun",
      outdir: directory,
    });
    const waiter = Bun.spawn([process.execPath, outputs[0]!.path, queue.name], {
      stdout: "pipe",
      stderr: "pipe",
    });
    const lines = linesOf(waiter.stdout);
    expect(await nextLine(lines)).toBe("waiting");
    await Bun.sleep(50);
    queue.send("bundled");
    expect(await nextLine(lines)).toBe("bundled");
    expect([await waiter.exited, await waiter.stderr.text()]).toEqual([0, ""]);
  } finally {
    rmSync(directory, { recursive: true });
  }
});
