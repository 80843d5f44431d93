import { afterAll, expect, setDefaultTimeout, test } from "bun:test";
import { mkdtempSync, rmSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { linesOf } from "../support/tools.ts";

// Children, threads and long loops take their time on a busy machine.
setDefaultTimeout(240_000);

const dir = mkdtempSync(join(tmpdir(), "shmstruct-demo-"));
afterAll(() => rmSync(dir, { recursive: true, force: true }));

test("a client without a server says what to start first", async () => {
  const path = join(dir, "none.dat");
  const client = Bun.spawnSync([process.execPath, join(import.meta.dir, "../../demo/mmap-client.ts"), path]);
  expect(client.stderr.toString()).toBe(
    `there is no ${path} yet; start first: bun demo/mmap-server.ts ${path}\n`,
  );
  expect(client.exitCode).toBe(1);
});

test("the client prints what the server writes, and both end cleanly at Ctrl-C", async () => {
  const path = join(dir, "Test.dat");
  const start = (name: string) =>
    Bun.spawn([process.execPath, join(import.meta.dir, `../../demo/mmap-${name}.ts`), path], {
      stdout: "pipe",
      stderr: "inherit",
    });
  const server = start("server");
  const written = linesOf(server.stdout);
  expect((await written.next()).value).toStartWith("wrote message 1 at ");
  expect(statSync(path).size).toBe(1024);
  const client = start("client");
  const read = linesOf(client.stdout);
  const numbers = [(await read.next()).value, (await read.next()).value].map((line) =>
    Number(line?.split(" ")[2]),
  );
  expect(numbers[1]).toBeGreaterThan(numbers[0]!);
  for (const child of [client, server]) child.kill("SIGINT");
  expect([await client.exited, await server.exited]).toEqual([0, 0]);
}, 240_000);
