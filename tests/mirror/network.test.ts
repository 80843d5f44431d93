/** Fences and survival: wires that stall, delay, cut and half-close, servers that forget, clocks that differ. */
import { describe, expect, setDefaultTimeout, test } from "bun:test";
import { existsSync } from "node:fs";
import { join } from "node:path";
import { jetstreamManager } from "@nats-io/jetstream";
import { Kvm } from "@nats-io/kv";
import { connect } from "@nats-io/transport-node";
import { Publisher } from "../../src/channel/index.ts";
import { JsonMap } from "../../src/document/index.ts";
import { FencedError, Manager, openReader, Reader } from "../../src/index.ts";
import { Mirror } from "../../src/mirror/index.ts";
import { Queue } from "../../src/queue/index.ts";
import { All, fill } from "../record/parts.ts";
import { hasTool } from "../support/tools.ts";
import { Server, until, Wire } from "./support.ts";

const KEY = { bucket: "robots", key: "arm" } as const;
const LEASE_MS = 600;
/** A client that soon notices that its server is silent. */
const NERVOUS = { pingInterval: 200, maxPingOut: 2, reconnectTimeWait: 50, timeout: 5000 } as const;

const record = (server: Server, machine: string, n: number): Manager<All> =>
  new Manager(All, { dir: server.file(machine), create: true, init: (data) => fill(data, n) });
const pathOf = (server: Server, machine: string): string => join(server.file(machine), "All_.mmap");

/** Everything that is in the bucket but leases, which are put again and again. */
async function contentsOf(server: Server): Promise<string> {
  const nats = await connect({ servers: server.url });
  const kv = await new Kvm(nats).create(KEY.bucket, { history: 1 });
  const entry = await kv.get(KEY.key);
  const jsm = await jetstreamManager(nats);
  const streams = (await jsm.streams.list().next()).filter(({ config }) => config.name.startsWith("SHM_"));
  await nats.close();
  const last = streams.map(({ config, state }) => [config.name, state.last_seq]);
  return JSON.stringify([entry?.revision, entry && Bun.hash.crc32(entry.value), last]);
}

const fencedBy = (publisher: { readonly ended: Promise<void> }): Promise<unknown> =>
  publisher.ended.then(
    () => undefined,
    (reason) => reason,
  );

// Servers and other processes are started, also on machines that have much else to do.
setDefaultTimeout(240_000);

describe.skipIf(!hasTool("nats-server"))("fences and survival (need nats-server)", () => {
  /** A file to be published, and what makes it send more. */
  interface Origin extends Disposable {
    readonly path: string;
    more(): void;
  }
  const bytes = new Uint8Array(8);
  const kinds: [string, (dir: string) => Origin][] = [
    [
      "chunks of a large document",
      (dir) => {
        const map = new JsonMap<string[]>({ file: join(dir, "doc"), role: "master", maxBytes: 3e6 });
        const more = (): void => void map.write([`${map.version}`.repeat(1e6)]);
        more();
        return { path: map.path, more, [Symbol.dispose]: () => map.close() };
      },
    ],
    [
      "messages of a channel",
      (dir) => {
        const channel = new Publisher(Uint8Array, { dir, create: true, payloadBytes: 8 });
        const more = (): void => channel.send(bytes);
        more();
        return { path: channel.path, more, [Symbol.dispose]: () => channel.close() };
      },
    ],
    [
      "jobs of a queue",
      (dir) => {
        const queue = new Queue(Uint8Array, { dir, create: true, payloadBytes: 8 });
        const more = (): void => queue.push(bytes);
        more();
        return { path: queue.path, more, [Symbol.dispose]: () => queue.close() };
      },
    ],
  ];
  test.each(kinds)("%s that a fenced publisher had sent arrive late and change nothing", async (_, make) => {
    await using server = await Server.start();
    using wire = new Wire(server.port);
    using first = make(server.file("first"));
    using second = make(server.file("second"));
    const options = { ...KEY, leaseMs: LEASE_MS, waitMs: 120_000 };
    await using loser = await Mirror.publish(first.path, {
      ...options,
      servers: wire.url,
      connection: { ...NERVOUS, pingInterval: 60_000 },
    });
    const fenced = fencedBy(loser);
    await until(() => loser.info().confirmedVersion === loser.info().version, "all is confirmed");
    wire.stall();
    for (let i = 0; i < 3; i++) first.more();
    await using winner = await Mirror.publish(second.path, { ...options, servers: server.url });
    await until(() => winner.info().confirmedVersion === winner.info().version, "the winner's is there");
    const before = await contentsOf(server);
    wire.heal();
    const error = (await fenced) as FencedError;
    expect(error).toBeInstanceOf(FencedError);
    expect(error.message).toContain("is only in the file");
    await Bun.sleep(200);
    expect(await contentsOf(server)).toBe(before);
    expect([winner.info().epoch, loser.info().confirmedVersion! < loser.info().version]).toEqual([2, true]);
  });

  test("a publisher that was fenced backs its file up, then follows the winner with a higher generation", async () => {
    await using server = await Server.start();
    using first = record(server, "first", 1);
    using second = record(server, "second", 100);
    using wire = new Wire(server.port);
    const options = { ...KEY, servers: server.url, leaseMs: LEASE_MS, waitMs: 120_000 };
    const path = first.path;
    {
      await using loser = await Mirror.publish(path, { ...options, servers: wire.url, connection: NERVOUS });
      const fenced = fencedBy(loser);
      wire.cut();
      for (let n = 2; n < 7; n++) first.edit((data) => fill(data, n));
      await using _ = await Mirror.publish(second.path, options);
      wire.heal();
      expect(await fenced).toMatchObject({ confirmedVersion: 0 });
      expect(((await fenced) as Error).message).toContain("up to version 5 (5 commits)");
    }
    await using _ = await Mirror.publish(second.path, options);
    await using follower = await Mirror.follow(path, { ...KEY, servers: server.url });
    await follower.ready({ timeoutMs: 120_000 });
    const backup = `${path}.fenced-1`;
    expect(follower.info().fenced).toEqual({ backup, version: 5, confirmedVersion: 0 });
    using kept = openReader(backup);
    expect(kept.get("place.n")).toBe(6);
    expect([first.get("place.n"), first.version >= 2 ** 32]).toEqual([100, true]);
    expect(first.info().mirror).toMatchObject({ role: "follow", epoch: 3 });
  });

  test("over a slow wire that is half-closed, cut and healed a mirror converges, and tells how old it is", async () => {
    await using server = await Server.start();
    using manager = record(server, "origin", 1);
    using out = new Wire(server.port);
    using back = new Wire(server.port);
    const options = { ...KEY, connection: NERVOUS };
    await using _publisher = await Mirror.publish(manager.path, { ...options, servers: out.url });
    const told: (number | undefined)[] = [];
    await using follower = await Mirror.follow(pathOf(server, "copy"), {
      ...options,
      servers: back.url,
      onChange: ({ staleSince }) => told.push(staleSince),
    });
    await follower.ready({ timeoutMs: 120_000 });
    using reader = new Reader(All, { dir: server.file("copy") });
    let n = 1;
    const arrives = async (what: string): Promise<void> => {
      manager.edit((data) => fill(data, ++n));
      await until(() => reader.get("place.n") === n, what);
    };
    out.delayMs = back.delayMs = 40;
    await arrives("over a slow wire");
    expect(follower.info().lagMs).toBeGreaterThanOrEqual(80);
    out.delayMs = back.delayMs = 0;
    out.halfClose();
    await arrives("after the publisher's connection was half-closed");
    back.halfClose();
    await arrives("after the follower's connection was half-closed");
    back.cut();
    manager.edit((data) => fill(data, ++n));
    await until(() => follower.info().staleSince !== undefined, "it tells that it is old");
    await until(() => reader.info().mirror?.staleSince !== undefined, "the file tells it, too");
    expect(told.some((since) => since !== undefined)).toBe(true);
    back.heal();
    await until(() => reader.get("place.n") === n, "after the partition");
    await until(() => follower.info().staleSince === undefined, "it tells that it is up to date");
    out.drop();
    await arrives("after the connection was ended");
  });

  test("after the server has forgotten everything the bucket is created again, and both sides go on", async () => {
    await using server = await Server.start();
    using manager = record(server, "origin", 1);
    const options = { ...KEY, servers: server.url, connection: NERVOUS, leaseMs: LEASE_MS };
    await using publisher = await Mirror.publish(manager.path, options);
    await using follower = await Mirror.follow(pathOf(server, "copy"), { ...KEY, servers: server.url });
    await follower.ready({ timeoutMs: 120_000 });
    using reader = new Reader(All, { dir: server.file("copy") });
    const { version } = reader;
    await server.kill();
    server.forget();
    manager.edit((data) => fill(data, 2));
    await server.run();
    await until(() => reader.get("place.n") === 2, "the state that was committed meanwhile");
    manager.edit((data) => fill(data, 3));
    await until(() => reader.get("place.n") === 3, "and the next one");
    expect(reader.version).toBeGreaterThan(version);
    expect(publisher.info().epoch).toBe(1);
    expect(follower.info().problem).toBeUndefined();
  });

  test("without a publisher the state is stale, since the time it was last heard of", async () => {
    await using server = await Server.start();
    using manager = record(server, "origin", 1);
    const options = { ...KEY, servers: server.url };
    await using follower = await Mirror.follow(pathOf(server, "copy"), options);
    {
      await using _ = await Mirror.publish(manager.path, options);
      await follower.ready({ timeoutMs: 120_000 });
      expect(follower.info().staleSince).toBeUndefined();
    }
    await until(() => follower.info().staleSince !== undefined, "the publisher has ended");
    using reader = new Reader(All, { dir: server.file("copy") });
    await until(() => reader.info().mirror?.staleSince !== undefined, "the file tells it, too");
    expect(existsSync(`${pathOf(server, "copy")}.fenced-0`)).toBe(false);
  });

  test("a publisher whose clock is an hour behind takes over and is fenced like any other", async () => {
    await using server = await Server.start();
    using first = record(server, "first", 1);
    using second = record(server, "second", 50);
    const options = { ...KEY, servers: server.url, leaseMs: LEASE_MS, waitMs: 120_000 };
    await using follower = await Mirror.follow(pathOf(server, "copy"), { ...KEY, servers: server.url });
    const [now, since] = [Date.now, performance.now];
    {
      await using _ = await Mirror.publish(first.path, options);
      await follower.ready({ timeoutMs: 120_000 });
    }
    Date.now = () => now() - 3_600_000;
    performance.now = () => since.call(performance) + 1e9;
    try {
      await using _ = await Mirror.publish(second.path, options);
      using reader = new Reader(All, { dir: server.file("copy") });
      await until(() => reader.get("place.n") === 50, "its state");
      expect(follower.info().epoch).toBe(2);
    } finally {
      Date.now = now;
      performance.now = since;
    }
  });
});
