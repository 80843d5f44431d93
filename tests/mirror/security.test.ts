/** Credentials and encryption, in the library and on the command line, with a certificate of our own making. */
import { expect, test } from "bun:test";
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { createAccount, createOperator, createUser, type KeyPair } from "@nats-io/nkeys";
import { Publisher, Subscriber } from "../../src/channel/index.ts";
import { c_int32, field, Manager, Reader, Struct } from "../../src/index.ts";
import { Mirror } from "../../src/mirror/index.ts";
import { All, fill } from "../record/parts.ts";
import { temporaryDirectory } from "../support/temporary.ts";
import { hasTool, linesOf } from "../support/tools.ts";
import { Server, until } from "./support.ts";

class Tick extends Struct {
  @field(c_int32) n!: number;
}

const MAIN = join(import.meta.dir, "../../src/cli/main.ts");
const PASSWORD = "correct horse";
const LOCK_AND_KEY = !hasTool("nats-server") || !hasTool("openssl");

/** An authority and a certificate of it for the loopback interface. */
function certificatesIn(directory: string): { ca: string; cert: string; key: string } {
  const [ca, caKey, cert, key, request, extension] = [
    "ca.pem",
    "ca.key",
    "s.pem",
    "s.key",
    "s.csr",
    "s.ext",
  ].map((name) => join(directory, name)) as [string, string, string, string, string, string];
  const openssl = (...args: string[]): void => {
    const { success, stderr } = Bun.spawnSync(["openssl", ...args]);
    if (!success) throw new Error(stderr.toString());
  };
  const fresh = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"];
  openssl("req", "-x509", ...fresh, "-keyout", caKey, "-out", ca, "-days", "2", "-subj", "/CN=our own");
  openssl("req", ...fresh, "-keyout", key, "-out", request, "-subj", "/CN=127.0.0.1");
  writeFileSync(extension, "subjectAltName=IP:127.0.0.1\n");
  const signed = ["-CA", ca, "-CAkey", caKey, "-CAcreateserial", "-extfile", extension];
  openssl("x509", "-req", "-in", request, ...signed, "-out", cert, "-days", "2");
  return { ca, cert, key };
}

test.skipIf(LOCK_AND_KEY)(
  "a mirror uses TLS, a password, a token and an nkey (need nats-server and openssl)",
  async () => {
    using dir = temporaryDirectory();
    const { ca, cert, key } = certificatesIn(dir.path);
    const user = createUser();
    const nkeyFile = join(dir.path, "user.nk");
    writeFileSync(nkeyFile, `${new TextDecoder().decode(user.getSeed())}\n`);
    const config = join(dir.path, "server.conf");
    writeFileSync(
      config,
      `tls { cert_file: "${cert}", key_file: "${key}" }
       authorization { users: [ { user: "arm", password: "${PASSWORD}" }, { nkey: "${user.getPublicKey()}" } ] }`,
    );
    await using server = await Server.start(["-c", config]);
    using manager = new Manager(All, {
      dir: join(dir.path, "a"),
      create: true,
      init: (data) => fill(data, 4),
    });
    const options = { servers: server.url, bucket: "robots", key: "arm" };
    const known = { credentials: { user: "arm", password: PASSWORD } };
    await expect(Mirror.publish(manager.path, { ...options, tls: { caFile: ca } })).rejects.toThrow(
      /authori/i,
    );
    await expect(Mirror.publish(manager.path, { ...options, ...known, tls: {} })).rejects.toThrow();
    await expect(
      Mirror.publish(manager.path, { ...options, credentials: { user: "x", token: "y" } }),
    ).rejects.toThrow("must have one of");
    await using _publisher = await Mirror.publish(manager.path, {
      ...options,
      ...known,
      tls: { caFile: ca },
    });
    await using follower = await Mirror.follow(join(dir.path, "b", "All_.mmap"), {
      ...options,
      credentials: { nkeyFile },
      tls: { caFile: ca },
    });
    await follower.ready({ timeoutMs: 120_000 });
    using reader = new Reader(All, { dir: join(dir.path, "b") });
    expect(reader.get("place.n")).toBe(4);
  },
  240_000,
);

/** A JSON web token as NATS signs it. */
function token(issuer: KeyPair, subject: KeyPair, name: string, nats: Record<string, unknown>): string {
  const encoded = (part: object): string => Buffer.from(JSON.stringify(part)).toString("base64url");
  const claims = { jti: name, iat: 1, iss: issuer.getPublicKey(), sub: subject.getPublicKey(), name, nats };
  const signed = `${encoded({ typ: "JWT", alg: "ed25519-nkey" })}.${encoded(claims)}`;
  return `${signed}.${Buffer.from(issuer.sign(Buffer.from(signed))).toString("base64url")}`;
}

/** A server's configuration with one account beside the system's, and the credentials of a user of it, as nsc makes them. */
function accountIn(directory: string): { config: string; credsFile: string } {
  const [operator, system, account, user] = [
    createOperator(),
    createAccount(),
    createAccount(),
    createUser(),
  ];
  const storage = { mem_storage: -1, disk_storage: -1, streams: -1, consumer: -1 };
  const open = { subs: -1, conn: -1, leaf: -1, imports: -1, exports: -1, data: -1, payload: -1 };
  const ofOperator = token(operator, operator, "O", { type: "operator", version: 2 });
  const ofSystem = token(operator, system, "SYS", { type: "account", version: 2, limits: open });
  const limits = { ...open, ...storage };
  const ofAccount = token(operator, account, "A", { type: "account", version: 2, limits });
  const ofUser = token(account, user, "U", { type: "user", version: 2, subs: -1, data: -1, payload: -1 });
  const [config, credsFile] = [join(directory, "server.conf"), join(directory, "robot.creds")];
  writeFileSync(
    config,
    `operator: ${ofOperator}
     system_account: ${system.getPublicKey()}
     resolver: MEMORY
     resolver_preload: { ${system.getPublicKey()}: ${ofSystem}, ${account.getPublicKey()}: ${ofAccount} }`,
  );
  const seed = new TextDecoder().decode(user.getSeed());
  const parts = { "NATS USER JWT": ofUser, "USER NKEY SEED": seed };
  const blocks = Object.entries(parts).map(
    ([name, value]) => `-----BEGIN ${name}-----\n${value}\n------END ${name}------\n`,
  );
  writeFileSync(credsFile, blocks.join("\n"));
  return { config, credsFile };
}

test.skipIf(!hasTool("nats-server"))(
  "a file of credentials works in the library and on the command line (needs nats-server)",
  async () => {
    using dir = temporaryDirectory();
    const { config, credsFile } = accountIn(dir.path);
    await using server = await Server.start(["-c", config]);
    const [a, b] = [join(dir.path, "a"), join(dir.path, "b")];
    using manager = new Manager(All, { dir: a, create: true, init: (data) => fill(data, 4) });
    const options = { servers: server.url, bucket: "shmstruct", key: "All_.mmap" };
    await expect(Mirror.publish(manager.path, options)).rejects.toThrow(/authori/i);
    await using _ = await Mirror.publish(manager.path, { ...options, credentials: { credsFile } });
    const args = ["follow", options.key, "--from", server.url, "--dir", b, "--creds", credsFile];
    const child = Bun.spawn([process.execPath, MAIN, "mirror", ...args], { stdout: "ignore" });
    using reader = await Reader.open(All, { dir: b, waitMs: 120_000 });
    expect(reader.get("place.n")).toBe(4);
    child.kill("SIGTERM");
    expect(await child.exited).toBe(0);
  },
  240_000,
);

test.skipIf(LOCK_AND_KEY)(
  "the command takes patterns of files and of keys, a token and TLS (need nats-server and openssl)",
  async () => {
    using dir = temporaryDirectory();
    const { ca, cert, key } = certificatesIn(dir.path);
    const tokenFile = join(dir.path, "token");
    writeFileSync(tokenFile, "s3cret\n");
    const config = join(dir.path, "server.conf");
    writeFileSync(
      config,
      `tls { cert_file: "${cert}", key_file: "${key}" }\nauthorization { token: "s3cret" }\n`,
    );
    await using server = await Server.start(["-c", config]);
    const [a, b] = [join(dir.path, "a"), join(dir.path, "b")];
    using manager = new Manager(All, { dir: a, create: true, init: (data) => fill(data, 4) });
    using ticks = new Publisher(Tick, { dir: a, create: true });
    ticks.send({ n: 1 });
    mkdirSync(b);
    const secure = ["--token-file", tokenFile, "--tls-ca", ca];
    const start = (...args: string[]) =>
      Bun.spawn([process.execPath, MAIN, "mirror", ...args, ...secure, "--json"], { stdout: "pipe" });
    const follow = start("follow", "*_.mmap", "Tick*", "--from", server.url, "--dir", b);
    const publish = start("publish", `${a}/*`, "--to", server.url, "--hz", "100");
    const line = (await linesOf(publish.stdout).next()).value;
    expect(JSON.parse(line as string)).toMatchObject({ epoch: 1 });
    using reader = await Reader.open(All, { dir: b, waitMs: 120_000 });
    using subscriber = await Subscriber.open(Tick, { dir: b, waitMs: 120_000, from: "oldest" });
    manager.edit((data) => fill(data, 5));
    await until(() => reader.get("place.n") === 5, "the state");
    expect((await subscriber.receiveAsync({ timeoutMs: 120_000 }))?.data.n).toBe(1);
    const who = Bun.spawnSync([process.execPath, MAIN, "who", reader.path]).stdout.toString();
    expect(who).toContain("follows a mirror");
    expect(who).toMatch(/mirror: connected, publisher 1 of the key, 0 versions not stored/);
    for (const child of [publish, follow]) child.kill("SIGTERM");
    expect(await Promise.all([publish.exited, follow.exited])).toEqual([0, 0]);
  },
  240_000,
);
