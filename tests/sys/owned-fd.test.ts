import { afterAll, describe, expect, setDefaultTimeout, test } from "bun:test";
import { closeSync, constants, fstatSync, mkdtempSync, openSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { openFile } from "../../src/sys/file.ts";
import { O_RDONLY } from "../../src/sys/libc/constants.ts";
import { OwnedFd } from "../../src/sys/owned-fd.ts";
import { descriptorsOf } from "../support/resources.ts";

const LIBRARY = JSON.stringify(join(import.meta.dir, "../../src/sys/"));

const isOpen = (fd: number): boolean => {
  try {
    fstatSync(fd);
    return true;
  } catch {
    return false;
  }
};

const pipes = namedPipe();
afterAll(() => rmSync(dirname(pipes.path), { recursive: true }));

function namedPipe(): { path: string } {
  const path = join(mkdtempSync(join(tmpdir(), "shmstruct-pipe-")), "pipe");
  expect(Bun.spawnSync(["mkfifo", path]).exitCode).toBe(0);
  return { path };
}

/** Opens a named pipe for writing, for a moment; false when there is no reader. */
function letOpen(path: string): boolean {
  try {
    closeSync(openSync(path, constants.O_WRONLY | constants.O_NONBLOCK));
    return true;
  } catch {
    return false;
  }
}

setDefaultTimeout(120_000);

describe("OwnedFd", () => {
  test("an OwnedFd closes its descriptor once, at close()", () => {
    const file = new OwnedFd(openFile("/dev/null", O_RDONLY));
    const { fd } = file;
    expect(isOpen(fd)).toBe(true);
    file.close();
    expect(isOpen(fd)).toBe(false);
    expect([file.closed, file.fd]).toEqual([true, -1]);
    const stranger = openSync("/dev/null", "r");
    expect(stranger).toBe(fd);
    file.close();
    expect(isOpen(stranger)).toBe(true);
    closeSync(stranger);
  });

  test("an OwnedFd stays open when nothing refers to it: users may know the number", async () => {
    const fd = (() => new OwnedFd(openFile("/dev/null", O_RDONLY)).fd)();
    Bun.gc(true);
    await Bun.sleep(1);
    Bun.gc(true);
    // Not closed here: the number is closed once, when this file's modules go.
    expect(isOpen(fd)).toBe(true);
  });

  test("an OwnedFd does not close a number that its user has closed already", () => {
    const file = new OwnedFd(openFile("/dev/null", O_RDONLY));
    closeSync(file.fd);
    expect(file.closeKnown()).toBe(false);
    expect(file.closed).toBe(true);
  });

  test("the end of a worker does not close the number of its OwnedFd that another file has by then", async () => {
    const source = `
      const { closeSync } = await import("node:fs");
      const { openFile } = await import(${LIBRARY} + "file.ts");
      const { OwnedFd } = await import(${LIBRARY} + "owned-fd.ts");
      const file = new OwnedFd(openFile("/dev/null", 0));
      const { fd } = file;
      closeSync(fd);
      postMessage([fd, file.closeKnown()]);`;
    const worker = new Worker(URL.createObjectURL(new Blob([source])));
    const [fd, closed] = await new Promise<[number, boolean]>((resolve) => {
      worker.onmessage = ({ data }) => resolve(data);
    });
    expect(closed).toBe(false);
    const strangers = [openSync("/dev/null", "r")];
    while (strangers.at(-1)! < fd) strangers.push(openSync("/dev/null", "r"));
    const ended = new Promise((resolve) => worker.addEventListener("close", resolve));
    worker.terminate();
    await ended;
    await Bun.sleep(50);
    expect(strangers.filter((stranger) => !isOpen(stranger))).toEqual([]);
    for (const stranger of strangers) closeSync(stranger);
  });

  const openers = [
    ["a file", 'openFile } = await import(LIBRARY + "file.ts")', "run = () => openFile(path, 0)"],
    [
      // As mmap has them: Bun takes another way for null and for numbers beyond 32 bits.
      "by a call with other arguments",
      'callOwned, openLibrary } = await import(LIBRARY + "libc/ffi.ts")',
      `const args = ["ptr", "i32", "u32", "ptr", "u64"];
      const { open } = openLibrary("libc.so.6", { open: { args, returns: "i32" } });
      const { close: free } = openLibrary("libc.so.6", { close: { args: ["i32"], returns: "i32" } });
      run = () => callOwned({ make: open, args: [Buffer.from(path + "\\0"), 0, 0, null, 2 ** 40], free })`,
    ],
  ] as const;

  test.each(openers)(
    "what libc makes while its worker is terminated is given back (%s)",
    async (_name, imported, opened) => {
      const { path } = pipes;
      const source = `
      const LIBRARY = ${LIBRARY}, path = ${JSON.stringify(path)};
      const { ${imported};
      let run;
      ${opened};
      postMessage("opening");
      run();`;
      // Opening a named pipe for reading lasts until it is opened for writing, which is an error without a reader.
      let wasOpening = false;
      for (let waitMs = 1; !wasOpening; waitMs *= 2) {
        const worker = new Worker(URL.createObjectURL(new Blob([source])));
        let isOver = false;
        worker.addEventListener("close", () => {
          isOver = true;
        });
        await new Promise((resolve) => {
          worker.onmessage = resolve;
        });
        await Bun.sleep(waitMs);
        worker.terminate();
        while (!isOver) {
          if (letOpen(path)) wasOpening = true;
          await Bun.sleep(1);
        }
      }
      for (let waits = 0; waits < 6000 && descriptorsOf(path) > 0; waits++) await Bun.sleep(10);
      expect(descriptorsOf(path)).toBe(0);
    },
  );

  test("an OwnedFd is closed when its worker is terminated, busy or idle", async () => {
    const source = `
      const { openFile } = await import(${LIBRARY} + "file.ts");
      const { OwnedFd } = await import(${LIBRARY} + "owned-fd.ts");
      const file = new OwnedFd(openFile("/dev/null", 0));
      globalThis.kept = file;
      postMessage(file.fd);
      self.onmessage = () => { for (;;); };`;
    for (const how of ["idle", "busy"]) {
      const worker = new Worker(URL.createObjectURL(new Blob([source])));
      const fd = await new Promise<number>((resolve) => {
        worker.onmessage = ({ data }) => resolve(data);
      });
      if (how === "busy") worker.postMessage("loop");
      await Bun.sleep(5);
      expect(isOpen(fd)).toBe(true);
      worker.terminate();
      for (let waits = 0; waits < 6000 && isOpen(fd); waits++) await Bun.sleep(10);
      expect(isOpen(fd)).toBe(false);
    }
  });
});
