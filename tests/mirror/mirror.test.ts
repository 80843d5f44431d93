/** Segments mirrored through a real nats-server, over wires that are cut. */
import { describe, expect, setDefaultTimeout, test } from "bun:test";
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { jetstreamManager } from "@nats-io/jetstream";
import { Kvm } from "@nats-io/kv";
import { connect } from "@nats-io/transport-node";
import { JsonMap } from "../../src/document/index.ts";
import {
  array,
  bytesOf,
  c_int32,
  FencedError,
  field,
  LockTimeoutError,
  Manager,
  MirrorError,
  MmapStructure,
  Reader,
} from "../../src/index.ts";
import { decodeFrame, encodeFrame } from "../../src/mirror/frame.ts";
import { Mirror } from "../../src/mirror/index.ts";
import { ABI_TAG } from "../../src/segment/abi.ts";
import { All, fill } from "../record/parts.ts";
import { hasTool, linesOf } from "../support/tools.ts";
import { Server, until, Wire } from "./support.ts";

const KEY = { bucket: "robots", key: "arm" } as const;
const LEASE_MS = 900;

const record = (server: Server): Manager<All> =>
  new Manager(All, { dir: server.file("origin"), create: true, init: (data) => fill(data, 1) });

const bucketOf = async (server: Server) => {
  const nats = await connect({ servers: server.url });
  return { nats, kv: await new Kvm(nats).create(KEY.bucket, { history: 1 }) };
};

const logOf = async (server: Server, kind: string) => {
  const nats = await connect({ servers: server.url });
  const jsm = await jetstreamManager(nats);
  const { state } = await jsm.streams.info(`SHM_${kind}_${KEY.bucket}_${KEY.key}`);
  return { nats, jsm, state };
};

/** The number that all fields of one edit carry; NaN for half of one. */
const numberIn = (reader: Reader<All>): number => {
  const { place, numbers } = reader.snapshot();
  return place.x === place.n + 0.5 && numbers[0] === place.n ? place.n : Number.NaN;
};

// Servers and other processes are started, also on machines that have much else to do.
setDefaultTimeout(240_000);

describe.skipIf(!hasTool("nats-server"))("mirrors (need nats-server)", () => {
  test("a mirrored record has the same bytes, versions and changes on the other side", async () => {
    await using server = await Server.start();
    using manager = record(server);
    const options = { ...KEY, servers: server.url };
    await using publisher = await Mirror.publish(manager.path, options);
    const path = join(server.file("copy"), "All_.mmap");
    await using follower = await Mirror.follow(path, { ...KEY, servers: server.url });
    await follower.ready({ timeoutMs: 120_000 });
    using reader = new Reader(All, { dir: server.file("copy") });
    expect(numberIn(reader)).toBe(1);
    const changes = reader.changes();
    manager.edit((data) => fill(data, 2));
    expect((await changes.next()).value).toBe(manager.version);
    expect(numberIn(reader)).toBe(2);
    expect(follower.info()).toMatchObject({
      version: manager.version,
      epoch: 1,
      lagVersions: 0,
      problem: undefined,
    });
    await until(() => publisher.info().confirmedVersion === manager.version, "the bucket confirms");
    await changes.return?.();
  });

  test("a document larger than a message of the server goes in chunks, which do not stay", async () => {
    await using server = await Server.start();
    const options = { ...KEY, servers: server.url };
    using origin = new JsonMap<string[]>({ file: server.file("doc"), role: "master", maxBytes: 4e6 });
    const texts = ["a", "b", "c", "d"].map((letter) => letter.repeat(2_500_000));
    origin.write([texts[0]!]);
    await using publisher = await Mirror.publish(origin.path, options);
    await using follower = await Mirror.follow(server.file("copy"), options);
    await follower.ready({ timeoutMs: 120_000 });
    using copy = new JsonMap<string[]>({ file: server.file("copy"), role: "follower" });
    for (const text of texts) {
      origin.write([text]);
      await until(() => copy.version === origin.version, `version ${origin.version}`);
      expect(copy.read()?.[0] === text).toBe(true);
    }
    await until(() => publisher.info().confirmedVersion === origin.version, "the bucket confirms");
    const { nats, state } = await logOf(server, "chunks");
    // The newest content, and the one before, which a follower may just be fetching.
    expect(state.messages).toBeLessThanOrEqual(2 * 12 + 1);
    expect(state.messages).toBeGreaterThan(2);
    await nats.close();
    expect(publisher.info().epoch).toBe(1);
  });

  test("of a large record only the changed blocks are sent, and a follower that comes later has it all", async () => {
    await using server = await Server.start();
    const options = { ...KEY, servers: server.url };
    class Large extends MmapStructure {
      @field(array(c_int32, 500_000)) numbers!: Int32Array;
    }
    using manager = new Manager(Large, { dir: server.file("origin"), create: true });
    await using publisher = await Mirror.publish(manager.path, options);
    await using first = await Mirror.follow(join(server.file("a"), "Large_.mmap"), options);
    await first.ready({ timeoutMs: 120_000 });
    using a = new Reader(Large, { dir: server.file("a") });
    for (const [place, value] of [
      [0, 1],
      [250_000, 2],
      [499_999, 3],
    ] as const) {
      manager.edit(({ numbers }) => {
        numbers[place] = value;
      });
      await until(() => a.snapshot().numbers[place] === value, `number ${place}`);
    }
    await until(() => publisher.info().confirmedVersion === manager.version, "the bucket confirms");
    const { nats, kv } = await bucketOf(server);
    expect((await kv.get(KEY.key))!.value.length).toBeLessThan(4 * 4096);
    await nats.close();
    await using second = await Mirror.follow(join(server.file("b"), "Large_.mmap"), options);
    await second.ready({ timeoutMs: 120_000 });
    using b = new Reader(Large, { dir: server.file("b") });
    expect(Buffer.compare(Buffer.from(bytesOf(b.snapshot())), Buffer.from(bytesOf(manager.snapshot())))).toBe(
      0,
    );
  });

  test("a content beyond maxBytes is refused with that number", async () => {
    await using server = await Server.start();
    using manager = record(server);
    const refused = Mirror.publish(manager.path, { ...KEY, servers: server.url, maxBytes: 100 });
    await expect(refused).rejects.toThrow("maxBytes is 100");
  });

  test.skipIf(!hasTool("flock"))(
    "a lock that a copy needs is waited for up to timeoutMs (needs flock)",
    async () => {
      await using server = await Server.start();
      const dir = server.file("origin");
      using manager = new Manager(All, { dir, lockDir: dir, create: true, transactional: false });
      const options = { ...KEY, servers: server.url };
      const lockFile = join(dir, "All_.lock");
      const holder = Bun.spawn(["flock", "-F", "-x", lockFile, "sh", "-c", "echo; read _"], {
        stdin: "pipe",
        stdout: "pipe",
      });
      await linesOf(holder.stdout).next();
      const refused = Mirror.publish(manager.path, { ...options, timeoutMs: 200 });
      await expect(refused).rejects.toBeInstanceOf(LockTimeoutError);
      const published = Mirror.publish(manager.path, options);
      let isThere = false;
      published.then(() => {
        isThere = true;
      });
      const { nats, kv } = await bucketOf(server);
      await until(
        async () => (await kv.get(`${KEY.key}.lease`))?.json<{ isReleased: boolean }>().isReleased === false,
        "the second publisher has the lease",
      );
      await nats.close();
      expect(isThere).toBe(false);
      holder.stdin.end();
      await using publisher = await published;
      expect(publisher.info().confirmedVersion).toBe(manager.version);
    },
  );

  test("with maxHz the newest state wins, and no more states than that are put a second", async () => {
    await using server = await Server.start();
    using manager = record(server);
    const options = { ...KEY, servers: server.url };
    const begun = performance.now();
    await using publisher = await Mirror.publish(manager.path, { ...options, maxHz: 10 });
    await using follower = await Mirror.follow(join(server.file("copy"), "All_.mmap"), options);
    await follower.ready({ timeoutMs: 120_000 });
    using reader = new Reader(All, { dir: server.file("copy") });
    for (let n = 2; n <= 150; n++) {
      manager.edit((data) => fill(data, n));
      await Bun.sleep(2);
    }
    await until(() => numberIn(reader) === 150, "the newest state");
    await until(() => publisher.info().confirmedVersion === manager.version, "the bucket confirms");
    const { nats, kv } = await bucketOf(server);
    const { revision } = (await kv.get(KEY.key))!;
    const leases = (await kv.get(`${KEY.key}.lease`))!.revision;
    await nats.close();
    // Leases are put as well: at the start, and every third of five seconds.
    const seconds = (performance.now() - begun) / 1000;
    expect(Math.max(revision, leases)).toBeLessThan(10 * seconds + 3 + seconds);
    expect(manager.version).toBe(149);
  });

  test("a publisher that was cut off is fenced by the next one, and nothing of it arrives afterwards", async () => {
    await using server = await Server.start();
    using first = record(server);
    using second = new Manager(All, {
      dir: server.file("second"),
      create: true,
      init: (data) => fill(data, 100),
    });
    using wire = new Wire(server.port);
    const options = { ...KEY, servers: server.url, leaseMs: LEASE_MS };
    const path = join(server.file("copy"), "All_.mmap");
    await using loser = await Mirror.publish(first.path, {
      ...options,
      servers: wire.url,
      connection: { timeout: 20_000, pingInterval: 300, maxPingOut: 2 },
    });
    await using follower = await Mirror.follow(path, { ...KEY, servers: server.url });
    await follower.ready({ timeoutMs: 120_000 });
    await expect(Mirror.publish(second.path, { ...options, waitMs: 0 })).rejects.toThrow(MirrorError);

    wire.cut();
    first.edit((data) => fill(data, 2));
    await using winner = await Mirror.publish(second.path, { ...options, waitMs: 120_000 });
    using reader = new Reader(All, { dir: server.file("copy") });
    await until(() => numberIn(reader) === 100, "the follower has the winner's state");
    wire.heal();
    first.edit((data) => fill(data, 3));
    const error = await loser.ended.then(
      () => undefined,
      (reason) => reason,
    );
    expect(error).toBeInstanceOf(FencedError);
    expect(error.confirmedVersion).toBe(0);
    second.edit((data) => fill(data, 101));
    await until(() => numberIn(reader) === 101, "the winner goes on");
    expect(winner.info()).toMatchObject({ epoch: 2, confirmedVersion: expect.any(Number) });
    expect(follower.info().epoch).toBe(2);
    expect(first.snapshot("place.n")).toBe(3);
  });

  test("versions of the local file never go back, also when another origin counts from 0", async () => {
    await using server = await Server.start();
    const options = { ...KEY, servers: server.url, leaseMs: LEASE_MS };
    const path = join(server.file("copy"), "All_.mmap");
    using first = record(server);
    for (let n = 2; n < 50; n++) first.edit((data) => fill(data, n));
    await using follower = await Mirror.follow(path, { ...KEY, servers: server.url });
    {
      await using _ = await Mirror.publish(first.path, options);
      await follower.ready({ timeoutMs: 120_000 });
    }
    using reader = new Reader(All, { dir: server.file("copy") });
    const before = reader.version;
    using second = new Manager(All, {
      dir: server.file("second"),
      create: true,
      init: (data) => fill(data, 7),
    });
    await using _ = await Mirror.publish(second.path, options);
    await until(() => numberIn(reader) === 7, "the other origin's state");
    expect(reader.version).toBeGreaterThan(before);
  });

  test("after a server is killed and comes back both sides go on by themselves", async () => {
    await using server = await Server.start();
    using manager = record(server);
    const options = { ...KEY, servers: server.url };
    await using publisher = await Mirror.publish(manager.path, options);
    await using follower = await Mirror.follow(join(server.file("copy"), "All_.mmap"), options);
    await follower.ready({ timeoutMs: 120_000 });
    using reader = new Reader(All, { dir: server.file("copy") });
    await server.kill();
    await until(
      () => follower.info().disconnectedSince !== undefined,
      "the follower tells that it is cut off",
    );
    manager.edit((data) => fill(data, 9));
    await server.run();
    await until(() => numberIn(reader) === 9, "the state that was committed meanwhile");
    await until(() => follower.info().disconnectedSince === undefined, "connected again");
    expect(publisher.info().epoch).toBe(1);
  });

  test("killed followers never leave a torn or an older state in the file", async () => {
    await using server = await Server.start();
    using manager = record(server);
    const options = { ...KEY, servers: server.url };
    await using _ = await Mirror.publish(manager.path, options);
    const path = join(server.file("copy"), "All_.mmap");
    let n = 1;
    let seen = 0;
    const writing = setInterval(() => manager.edit((data) => fill(data, ++n % 200)), 1);
    for (let kill = 0; kill < 6; kill++) {
      const args = [
        process.execPath,
        join(import.meta.dir, "follower.ts"),
        JSON.stringify(options),
        KEY.key,
        path,
      ];
      const child = Bun.spawn(args, { stdout: "pipe", stderr: "inherit" });
      await linesOf(child.stdout).next();
      using reader = new Reader(All, { dir: server.file("copy") });
      const end = Date.now() + 40 * (kill + 1);
      while (Date.now() < end) {
        expect(Number.isNaN(numberIn(reader))).toBe(false);
        expect(reader.version).toBeGreaterThanOrEqual(seen);
        seen = reader.version;
        await Bun.sleep(1);
      }
      child.kill(9);
      await child.exited;
    }
    clearInterval(writing);
    expect(seen).toBeGreaterThan(0);
  });

  test("what is not a frame, or is of another machine, is told and changes nothing", async () => {
    await using server = await Server.start();
    using manager = record(server);
    const options = { ...KEY, servers: server.url };
    const path = join(server.file("copy"), "All_.mmap");
    {
      await using _ = await Mirror.publish(manager.path, options);
      await using follower = await Mirror.follow(path, { ...KEY, servers: server.url });
      await follower.ready({ timeoutMs: 120_000 });
    }
    const { nats, kv } = await bucketOf(server);
    const good = (await kv.get(KEY.key))!.value;
    const before = readFileSync(path);
    const forge = (change: (head: Record<string, unknown>) => void, schema?: object): Uint8Array => {
      const { head, schema: described, content } = decodeFrame(good);
      const forged = { ...head, epoch: 9 };
      change(forged);
      return encodeFrame(
        forged,
        schema === undefined ? described : Buffer.from(JSON.stringify(schema)),
        content,
      );
    };
    const values: [Uint8Array, string][] = [
      [new Uint8Array(), "is no frame"],
      [Buffer.from("hello, world"), "is no frame"],
      [forge((head) => Object.assign(head, { abi: 0x20 })), "another kind of machine"],
      [forge((head) => Object.assign(head, { kind: "pipe" })), "kind"],
      [forge((head) => Object.assign(head, { contentBytes: 2 ** 40 })), "maxBytes"],
      [forge((head) => Object.assign(head, { contentBytes: 8 })), "came as"],
      [forge(() => undefined, { name: "x" }), "the struct that"],
    ];
    await using follower = await Mirror.follow(path, { ...KEY, servers: server.url });
    for (const [value, problem] of values) {
      await kv.put(KEY.key, value);
      await until(() => follower.info().problem?.includes(problem) === true, `a problem: ${problem}`, 8000);
    }
    expect(Buffer.compare(before, readFileSync(path))).toBe(0);
    // A machine whose char has another sign: no field's bytes differ.
    await kv.put(
      KEY.key,
      forge((head) => Object.assign(head, { abi: ABI_TAG ^ 0x18, version: 3 })),
    );
    await until(() => follower.info().version === 3, "the state of a machine that differs in no field");
    using reader = new Reader(All, { dir: server.file("copy") });
    expect(numberIn(reader)).toBe(1);
    await nats.close();
  });

  test("a file that is not there is refused, and none is made", async () => {
    await using server = await Server.start();
    const options = { ...KEY, servers: server.url };
    await expect(Mirror.publish(server.file("nothing"), options)).rejects.toThrow(
      "no file that can be published",
    );
    expect(existsSync(server.file("nothing"))).toBe(false);
  });
});
