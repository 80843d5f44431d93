import { expect, setDefaultTimeout, test } from "bun:test";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import {
  MESSAGE_QUEUES_SUPPORTED,
  O_CREAT,
  O_CREX,
  O_EXCL,
  O_TRUNC,
  PAGE_SIZE,
  QUEUE_MESSAGE_SIZE_MAX_DEFAULT,
  QUEUE_MESSAGES_MAX_DEFAULT,
  QUEUE_PRIORITY_MAX,
  SEMAPHORE_TIMEOUT_SUPPORTED,
  SEMAPHORE_VALUE_MAX,
  SEMAPHORE_VALUE_SUPPORTED,
} from "../../src/posix/index.ts";
import { hasTool } from "../support/tools.ts";

// Children, threads and long loops take their time on a busy machine.
setDefaultTimeout(240_000);

test.skipIf(!hasTool("gcc"))("the constants are those of the C headers (needs gcc)", () => {
  const directory = mkdtempSync(join(tmpdir(), "shmstruct-constants-"));
  const program = join(directory, "constants");
  writeFileSync(
    `${program}.c`,
    `#include <fcntl.h>
     #include <limits.h>
     #include <semaphore.h>
     #include <stdio.h>
     #include <unistd.h>
     int main() { printf("%d %d %d %ld %ld %ld", O_CREAT, O_EXCL, O_TRUNC, sysconf(_SC_PAGESIZE),
       (long)SEM_VALUE_MAX, sysconf(_SC_MQ_PRIO_MAX) - 1); }`,
  );
  expect(Bun.spawnSync(["gcc", "-o", program, `${program}.c`]).success).toBe(true);
  const printed = Bun.spawnSync([program]).stdout.toString().split(" ").map(Number);
  expect(printed).toEqual([O_CREAT, O_EXCL, O_TRUNC, PAGE_SIZE, SEMAPHORE_VALUE_MAX, QUEUE_PRIORITY_MAX]);
  rmSync(directory, { recursive: true });
});

test("O_CREX is both flags, and Linux supports everything", () => {
  expect(O_CREX).toBe(O_CREAT | O_EXCL);
  const isLinux = process.platform === "linux";
  expect(SEMAPHORE_TIMEOUT_SUPPORTED).toBe(isLinux);
  expect(SEMAPHORE_VALUE_SUPPORTED).toBe(isLinux);
  expect(MESSAGE_QUEUES_SUPPORTED).toBe(isLinux);
});

test.skipIf(process.platform !== "linux")("the queue defaults are the kernel's (needs Linux)", () => {
  const limit = (file: string) => Number(readFileSync(`/proc/sys/fs/mqueue/${file}`, "utf8"));
  expect(QUEUE_MESSAGES_MAX_DEFAULT).toBe(Math.min(limit("msg_default"), limit("msg_max")));
  expect(QUEUE_MESSAGE_SIZE_MAX_DEFAULT).toBe(Math.min(limit("msgsize_default"), limit("msgsize_max")));
});
