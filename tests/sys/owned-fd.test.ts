import { describe, expect, test } from "bun:test";
import { closeSync, fstatSync, openSync } from "node:fs";
import { join } from "node:path";
import { openFile } from "../../src/sys/file.ts";
import { O_RDONLY } from "../../src/sys/libc/constants.ts";
import { OwnedFd } from "../../src/sys/owned-fd.ts";

const LIBRARY = JSON.stringify(join(import.meta.dir, "../../src/sys/"));

const isOpen = (fd: number): boolean => {
  try {
    fstatSync(fd);
    return true;
  } catch {
    return false;
  }
};

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
