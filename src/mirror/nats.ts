/** NATS JetStream: a key-value bucket, whose revisions fence publishers, and streams, whose sequences do. */
import { readFileSync } from "node:fs";
import type { KV, KvEntry } from "@nats-io/kv";
import type { NodeConnectionOptions } from "@nats-io/transport-node";
import { MirrorError } from "../errors/errors.ts";
import { NatsLog } from "./nats-log.ts";
import {
  DisconnectedError,
  isMissing,
  type Link,
  type NatsShared,
  orConflict,
  REQUEST_TIMEOUT_MS,
  timeoutFor,
} from "./nats-shared.ts";
import type { Entry, Log, LogKind, Transport } from "./transport.ts";

/** Who one is: one of these. */
export interface NatsCredentials {
  /** A file of credentials, as `nsc` makes it: JWT and seed. */
  readonly credsFile?: string | undefined;
  /** A file that holds an nkey's seed. */
  readonly nkeyFile?: string | undefined;
  readonly user?: string | undefined;
  readonly password?: string | undefined;
  readonly token?: string | undefined;
}

/** Encryption; `{}` asks for it and trusts the authorities of the system. */
export interface NatsTls {
  /** A PEM file of the authorities that are trusted. */
  readonly caFile?: string | undefined;
  /** PEM files of a certificate of one's own and its key, where the server asks for one. */
  readonly certFile?: string | undefined;
  readonly keyFile?: string | undefined;
}

/** Where the bucket is. */
export interface NatsOptions {
  /** One server or several of a cluster. @example "nats://10.0.0.1:4222" */
  readonly servers: string | readonly string[];
  /** The key-value bucket; made if it is missing. */
  readonly bucket: string;
  /** Who one is, where the server asks. @example { credsFile: "/etc/robot.creds" } */
  readonly credentials?: NatsCredentials | undefined;
  /** Encryption. @example { caFile: "/etc/nats/ca.pem" } */
  readonly tls?: NatsTls | undefined;
  /** All else, as `connect` of @nats-io/transport-node takes it. */
  readonly connection?: NodeConnectionOptions | undefined;
  /** Copies of the bucket and of streams in a cluster: 1, 3 or 5. Default 1. */
  readonly replicas?: number | undefined;
}

/** Room that the protocol's headers take of the server's max_payload. */
const HEADER_BYTES = 8192;
/** For so long a server may refuse that has been connected. */
const FIRST_ANSWER_MS = 10_000;
const FIRST_RETRY_MS = 200;

/** @throws MirrorError without the packages; what `connect` throws; SystemError for a file that cannot be read */
export async function connectNats(options: NatsOptions): Promise<NatsTransport> {
  const loaded = await packages();
  const { servers, connection, bucket } = options;
  const nats = await loaded.connect({
    // A mirror outlives its server.
    maxReconnectAttempts: -1,
    reconnectTimeWait: 250,
    pingInterval: 5000,
    ...(options.credentials && credentialsOf(options.credentials, loaded)),
    ...(options.tls && { tls: definedOf(options.tls) }),
    ...connection,
    servers: typeof servers === "string" ? servers : [...servers],
  });
  try {
    const replicas = options.replicas ?? 1;
    const js = loaded.jetstream(nats, { timeout: REQUEST_TIMEOUT_MS });
    const jsm = await js.jetstreamManager(false);
    const makeBucket = (): Promise<KV> => new loaded.Kvm(js).create(bucket, { history: 1, replicas });
    const kv = await patiently(makeBucket);
    return new NatsTransport({ nats, js, jsm, kv, bucket, replicas, users: 1 }, makeBucket);
  } catch (error) {
    await nats.close();
    throw error;
  }
}

/** A server that has just started, or a cluster that elects a leader, refuses at first. */
async function patiently<T>(attempt: () => Promise<T>): Promise<T> {
  const end = performance.now() + FIRST_ANSWER_MS;
  for (;;) {
    try {
      return await attempt();
    } catch (error) {
      const isFinal = /permission|authori/i.test(String(error)) || performance.now() > end;
      if (isFinal) throw error;
      await Bun.sleep(FIRST_RETRY_MS);
    }
  }
}

type Packages = Awaited<ReturnType<typeof packages>>;

async function packages() {
  try {
    const [{ jetstream }, kv, transport] = await Promise.all([
      import("@nats-io/jetstream"),
      import("@nats-io/kv"),
      import("@nats-io/transport-node"),
    ]);
    const { connect, credsAuthenticator, nkeyAuthenticator } = transport;
    return { jetstream, Kvm: kv.Kvm, connect, credsAuthenticator, nkeyAuthenticator };
  } catch (cause) {
    throw new MirrorError(
      `a mirror needs the packages @nats-io/transport-node, @nats-io/jetstream and @nats-io/kv: bun add @nats-io/transport-node @nats-io/jetstream @nats-io/kv (${cause})`,
    );
  }
}

function credentialsOf(credentials: NatsCredentials, loaded: Packages): Partial<NodeConnectionOptions> {
  const { credsFile, nkeyFile, user, password, token } = credentials;
  const given = [credsFile, nkeyFile, user, token].filter((value) => value !== undefined).length;
  if (given !== 1)
    throw new TypeError(
      `option credentials must have one of credsFile, nkeyFile, user (with password) and token, got ${given}`,
    );
  if (credsFile !== undefined) return { authenticator: loaded.credsAuthenticator(readFileSync(credsFile)) };
  if (nkeyFile !== undefined) {
    const seed = Buffer.from(readFileSync(nkeyFile, "utf8").trim());
    return { authenticator: loaded.nkeyAuthenticator(seed) };
  }
  if (token !== undefined) return { token };
  return { user: user ?? "", pass: password ?? "" };
}

const definedOf = <T extends object>(options: T): T =>
  Object.fromEntries(Object.entries(options).filter(([, value]) => value !== undefined)) as T;

export class NatsTransport implements Transport, Link {
  readonly maxValueBytes: number;
  readonly #shared: NatsShared;
  readonly #makeBucket: () => Promise<KV>;
  readonly #open = new Set<{ stop(): void }>();
  #disconnectedSince: number | undefined;
  #lost = Promise.withResolvers<never>();
  #isClosed = false;

  /** @internal */
  constructor(shared: NatsShared, makeBucket: () => Promise<KV>) {
    this.#shared = shared;
    this.#makeBucket = makeBucket;
    this.maxValueBytes = (shared.nats.info?.max_payload ?? 2 ** 20) - HEADER_BYTES;
    this.#lost.promise.catch(() => undefined);
    void this.#followStatus();
  }

  /** Another user of the connection, which is closed with its last one. */
  share(): NatsTransport {
    this.#shared.users++;
    return new NatsTransport(this.#shared, this.#makeBucket);
  }

  get disconnectedSince(): number | undefined {
    return this.#disconnectedSince;
  }

  async #followStatus(): Promise<void> {
    for await (const { type } of this.#shared.nats.status()) {
      if (type === "disconnect" || type === "staleConnection") {
        this.#disconnectedSince ??= Date.now();
        this.#giveUp();
      }
      if (type !== "reconnect") continue;
      this.#disconnectedSince = undefined;
      this.#endWatches();
    }
  }

  #giveUp(): void {
    this.#lost.reject(new DisconnectedError("the connection to the server was lost"));
    this.#lost = Promise.withResolvers<never>();
    this.#lost.promise.catch(() => undefined);
  }

  ask<T>(request: () => Promise<T>): Promise<T> {
    // What is sent meanwhile would be kept, and sent at some time.
    if (this.#disconnectedSince !== undefined || this.#isClosed)
      return Promise.reject(new DisconnectedError("there is no connection to the server"));
    return Promise.race([request(), this.#lost.promise]);
  }

  /** What is watched may be another bucket now, and messages may have been lost: those who watch begin again. */
  #endWatches(): void {
    for (const watch of this.#open) watch.stop();
    this.#open.clear();
  }

  async life(): Promise<string> {
    const { jsm, bucket } = this.#shared;
    const created = async (): Promise<string> => (await jsm.streams.info(`KV_${bucket}`)).created;
    try {
      return await this.ask(created);
    } catch (error) {
      if (!isMissing(error)) throw error;
      await this.ask(this.#makeBucket);
      this.#endWatches();
      return this.ask(created);
    }
  }

  async get(key: string): Promise<Entry | undefined> {
    const { jsm, bucket } = this.#shared;
    // Of the leader: KV.get may ask a server of the cluster that is behind.
    const query = { last_by_subj: `$KV.${bucket}.${key}` };
    const found = await this.ask(() => jsm.streams.getMessage(`KV_${bucket}`, query));
    if (found === null || (found.header?.get("KV-Operation") ?? "") !== "") return undefined;
    return { value: found.data, revision: found.seq };
  }

  async put(key: string, value: Uint8Array, lastRevision: number): Promise<number> {
    const { js, bucket } = this.#shared;
    // As KV.update does, which takes no time limit.
    const options = {
      expect: { streamName: `KV_${bucket}`, lastSubjectSequence: lastRevision },
      timeout: timeoutFor(value.length),
    };
    const sent = this.ask(() => js.publish(`$KV.${bucket}.${key}`, value, options));
    return (await orConflict(sent, key)).seq;
  }

  async *watch(key: string): AsyncGenerator<Entry> {
    const found = await this.ask(() => this.#shared.kv.watch({ key }));
    using _ = this.opened(found);
    for await (const each of found) {
      const entry = entryOf(each);
      if (entry !== undefined) yield entry;
    }
  }

  /** @internal Ended with the transport, and when the connection is lost. */
  opened(watch: { stop(): void }): Disposable {
    if (this.#isClosed) watch.stop();
    else this.#open.add(watch);
    return { [Symbol.dispose]: () => this.#open.delete(watch) };
  }

  async keys(): Promise<string[]> {
    return Array.fromAsync(await this.ask(() => this.#shared.kv.keys()));
  }

  log(key: string, kind: LogKind): Log {
    return new NatsLog(this.#shared, this, key, kind);
  }

  async close(): Promise<void> {
    if (this.#isClosed) return;
    this.#isClosed = true;
    this.#endWatches();
    this.#giveUp();
    if (--this.#shared.users === 0) await this.#shared.nats.close();
  }
}

const entryOf = (entry: KvEntry | null): Entry | undefined =>
  entry === null || entry.operation !== "PUT" ? undefined : { value: entry.value, revision: entry.revision };
