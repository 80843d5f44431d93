/** Mirrors that begin before their server does. */
import { describe, expect, setDefaultTimeout, test } from "bun:test";
import { join } from "node:path";
import { Manager, MirrorError, Reader, WaitTimeoutError } from "../../src/index.ts";
import { Mirror } from "../../src/mirror/index.ts";
import { connectNats } from "../../src/mirror/nats.ts";
import { DisconnectedError } from "../../src/mirror/nats-shared.ts";
import { MirrorPublisher } from "../../src/mirror/publisher.ts";
import type { Transport } from "../../src/mirror/transport.ts";
import { All, fill } from "../record/parts.ts";
import { mappingsOf } from "../support/resources.ts";
import { temporaryDirectory } from "../support/temporary.ts";
import { hasTool, linesOf } from "../support/tools.ts";
import { Server, until } from "./support.ts";

const KEY = { bucket: "robots", key: "arm" } as const;
const MAIN = join(import.meta.dir, "../../src/cli/main.ts");

setDefaultTimeout(240_000);

test("a publisher whose server went away before it has begun ends at its signal, and closes what it has opened", async () => {
  using temporary = temporaryDirectory();
  using manager = new Manager(All, { dir: temporary.path, create: true });
  const before = mappingsOf(manager.path);
  const stop = new AbortController();
  let closed = 0;
  const away = {
    life: () => Promise.reject(new DisconnectedError("there is no connection to the server")),
    close: async () => void closed++,
  } as unknown as Transport;
  const options = { key: "arm", signal: stop.signal, onWait: () => stop.abort(new Error("enough")) };
  await expect(MirrorPublisher.start(manager.path, away, options)).rejects.toThrow("enough");
  expect([closed, mappingsOf(manager.path)]).toEqual([1, before]);
});

describe.skipIf(!hasTool("nats-server"))("without a server (need nats-server)", () => {
  test("publisher and follower wait for a server, say since when and why, and begin when it is there", async () => {
    await using server = Server.planned();
    using manager = new Manager(All, {
      dir: server.file("a"),
      create: true,
      init: (data) => fill(data, 3),
    });
    const options = { ...KEY, servers: server.url };
    const begun = Date.now();
    const waits: { since: number; problem: string }[] = [];
    const publishing = Mirror.publish(manager.path, { ...options, onWait: (wait) => waits.push(wait) });
    const changes: (string | undefined)[] = [];
    await using follower = await Mirror.follow(join(server.file("b"), "All_.mmap"), {
      ...options,
      onChange: ({ problem }) => changes.push(problem),
    });
    const problem = expect.stringMatching(/^no server at nats:\/\/127.0.0.1:\d+: connect ECONNREFUSED/);
    expect(follower.info()).toMatchObject({ version: undefined, problem });
    expect(follower.info().disconnectedSince).toBeGreaterThanOrEqual(begun);
    expect(follower.info().staleSince).toBe(follower.info().disconnectedSince);
    const late = await follower.ready({ timeoutMs: 20 }).catch((error) => error);
    expect(late).toBeInstanceOf(WaitTimeoutError);
    expect(late.message).toContain("no server at");
    await until(() => changes.length > 0 && waits.length > 0, "the hooks are called");
    expect([changes[0], waits[0]?.problem]).toEqual([problem, problem]);
    await server.run();
    await using _ = await publishing;
    await follower.ready({ timeoutMs: 120_000 });
    using reader = new Reader(All, { dir: server.file("b") });
    expect(reader.get("place.n")).toBe(3);
    await until(() => changes.at(-1) === undefined, "the hook tells that it is over");
    expect(follower.info()).toMatchObject({ problem: undefined, disconnectedSince: undefined });
    expect(waits).toHaveLength(1);
  });

  test("a publisher also waits for a server that goes away while it begins", async () => {
    await using server = await Server.start();
    using manager = new Manager(All, { dir: server.file("a"), create: true });
    const options = { ...KEY, servers: server.url };
    for (const method of ["life", "get", "put"] as const) {
      const transport = await connectNats(options);
      const works = transport[method].bind(transport) as (...args: unknown[]) => Promise<never>;
      let failures = 2;
      const fails = (...args: unknown[]) =>
        failures-- > 0 ? Promise.reject(new Error("cut off")) : works(...args);
      Object.defineProperty(transport, method, { value: fails });
      const problems: string[] = [];
      const begin = {
        ...KEY,
        leaseMs: 300,
        onWait: ({ problem }: { problem: string }) => void problems.push(problem),
      };
      await using publisher = await MirrorPublisher.start(manager.path, transport, begin);
      expect(publisher.info().confirmedVersion).toBe(0);
      expect(problems).toEqual(["the server does not answer: Error: cut off"]);
    }
    const transport = await connectNats(options);
    Object.defineProperty(transport, "life", { value: () => Promise.reject(new Error("cut off")) });
    await expect(MirrorPublisher.start(manager.path, transport, { ...KEY, serverWaitMs: 0 })).rejects.toThrow(
      "cut off",
    );
  });

  test("serverWaitMs ends the wait for a server; wrong options and a follower that is closed meanwhile do not wait", async () => {
    await using server = Server.planned();
    using manager = new Manager(All, { dir: server.file("a"), create: true });
    const path = join(server.file("b"), "All_.mmap");
    const options = { ...KEY, servers: server.url };
    for (const serverWaitMs of [0, 50])
      for (const attempt of [
        Mirror.publish(manager.path, { ...options, serverWaitMs }),
        Mirror.follow(path, { ...options, serverWaitMs }),
      ]) {
        const error = await attempt.catch((reason) => reason);
        expect(error).toBeInstanceOf(MirrorError);
        expect(error.message).toContain(`no server at ${server.url}: connect ECONNREFUSED`);
      }
    const wrong = { ...options, credentials: {} };
    await expect(Mirror.publish(manager.path, wrong)).rejects.toThrow("must have one of");
    await expect(Mirror.follow(path, wrong)).rejects.toThrow("must have one of");
    for (const [name, value] of Object.entries({
      serverWaitMs: Number.NaN,
      maxBytes: 1.5,
      replicas: 0,
      prefetch: -1,
    })) {
      const odd = { ...options, [name]: value };
      await expect(Mirror.follow(path, odd)).rejects.toThrow(`option ${name} must be`);
    }
    for (const [name, value] of Object.entries({
      maxHz: 0,
      leaseMs: Number.NaN,
      waitMs: -1,
      timeoutMs: Number.NaN,
    })) {
      const odd = { ...options, [name]: value };
      await expect(Mirror.publish(manager.path, odd)).rejects.toThrow(`option ${name} must be`);
    }
    const follower = await Mirror.follow(path, options);
    await follower[Symbol.asyncDispose]();
  });

  test("the command says that it waits for a server, and ends when it is told to", async () => {
    await using server = Server.planned();
    using manager = new Manager(All, { dir: server.file("a"), create: true });
    const { url } = server;
    const commands = [
      ["publish", manager.path, "--to", url],
      ["follow", "*", "--from", url, "--dir", server.file("b")],
    ];
    for (const args of commands) {
      const child = Bun.spawn([process.execPath, MAIN, "mirror", ...args], { stdout: "pipe" });
      const { value } = await linesOf(child.stdout).next();
      expect(value).toMatch(/^waiting since \S+Z: no server at nats:\S+: connect ECONNREFUSED/);
      child.kill("SIGTERM");
      expect(await child.exited).toBe(0);
    }
  });
});
