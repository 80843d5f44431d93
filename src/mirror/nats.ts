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
  Requests,
  timeoutFor,
} from "./nats-shared.ts";
import { type Entry, isFinal, type Log, type LogKind, type Transport } from "./transport.ts";
import { sleepOr } from "./wait.ts";

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
  /** Milliseconds to wait for a server that is not there when the mirror begins. Default: as long as it takes. 0: an error at once. */
  readonly serverWaitMs?: number | undefined;
  /** Called when no server is there as the mirror begins, and again for each other reason. @example ({ problem }) => console.error(problem) */
  readonly onWait?: ((wait: ServerWait) => void) | undefined;
}

/** A mirror that begins has found no server yet, and goes on trying. */
export interface ServerWait {
  /** Since when, in ms since 1970. */
  readonly since: number;
  readonly problem: string;
}

/** Room that the protocol's headers take of the server's max_payload. */
const HEADER_BYTES = 8192;
/** Between two tries while no server is there: the first, and at most. */
const FIRST_RETRY_MS = 200;
const MAX_RETRY_MS = 2000;
/** What a network says that may be another one in a moment. */
const PASSING: readonly unknown[] = [
  "ECONNREFUSED",
  "ECONNRESET",
  "EPIPE",
  "ETIMEDOUT",
  "EHOSTUNREACH",
  "ENETUNREACH",
  "ENETDOWN",
  "ENOTFOUND",
  "EAI_AGAIN",
];

/**
 * Connects, and waits for a server that is not there, as long as the options say.
 * @throws MirrorError without the packages, and when no server came in time; what `connect` throws, such as for wrong
 *   credentials; SystemError for a file that cannot be read
 */
export async function connectNats(options: NatsOptions, signal?: AbortSignal): Promise<NatsTransport> {
  const loaded = await packages();
  const connection = connectionOf(options, loaded);
  const [since, begun] = [Date.now(), performance.now()];
  const stop = signal ?? new AbortController().signal;
  let told: string | undefined;
  for (let retryMs = FIRST_RETRY_MS; ; retryMs = Math.min(2 * retryMs, MAX_RETRY_MS)) {
    try {
      return await attempt(loaded, connection, options);
    } catch (error) {
      if (!isPassing(error)) throw error;
      const problem = `no server at ${[options.servers].flat().join(", ")}: ${reasonOf(error)}`;
      if (performance.now() - begun >= (options.serverWaitMs ?? Number.POSITIVE_INFINITY))
        throw new MirrorError(problem);
      if (problem !== told) options.onWait?.({ since, problem });
      told = problem;
    }
    await sleepOr(stop, retryMs);
    if (stop.aborted) throw new DisconnectedError("the mirror has ended");
  }
}

/** @throws TypeError; SystemError for a file that cannot be read */
function connectionOf(options: NatsOptions, loaded: Packages): NodeConnectionOptions {
  const { servers, connection } = options;
  return {
    // A mirror outlives its server.
    maxReconnectAttempts: -1,
    reconnectTimeWait: 250,
    pingInterval: 5000,
    ...(options.credentials && credentialsOf(options.credentials, loaded)),
    ...(options.tls && { tls: definedOf(options.tls) }),
    ...connection,
    servers: typeof servers === "string" ? servers : [...servers],
  };
}

async function attempt(
  loaded: Packages,
  connection: NodeConnectionOptions,
  { bucket, replicas = 1 }: NatsOptions,
): Promise<NatsTransport> {
  const nats = await loaded.connect(connection);
  try {
    const js = loaded.jetstream(nats, { timeout: REQUEST_TIMEOUT_MS });
    const jsm = await js.jetstreamManager(false);
    const makeBucket = (): Promise<KV> => new loaded.Kvm(js).create(bucket, { history: 1, replicas });
    const kv = await orNotReady(makeBucket());
    return new NatsTransport({ nats, js, jsm, kv, bucket, replicas, users: 1 }, makeBucket);
  } catch (error) {
    await nats.close();
    throw error;
  }
}

/** A server that refuses, but for what its reader may do: it has just started, or a cluster elects a leader. */
class NotReadyError extends Error {
  override readonly name = "NotReadyError";
}

async function orNotReady<T>(request: Promise<T>): Promise<T> {
  try {
    return await request;
  } catch (error) {
    if (isFinal(error)) throw error;
    throw new NotReadyError(String(error));
  }
}

function isPassing(error: unknown): boolean {
  if (error instanceof NotReadyError || (error as Error).name === "TimeoutError") return true;
  const { code, cause } = error as { code?: unknown; cause?: { code?: unknown } };
  return (
    PASSING.includes(code) ||
    PASSING.includes(cause?.code) ||
    /connection (refused|closed)/i.test(String(error))
  );
}

function reasonOf(error: unknown): string {
  const { message, cause } = error as Error;
  return cause instanceof Error ? cause.message : message;
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
  readonly #requests = new Requests();
  #isClosed = false;

  /** @internal */
  constructor(shared: NatsShared, makeBucket: () => Promise<KV>) {
    this.#shared = shared;
    this.#makeBucket = makeBucket;
    this.maxValueBytes = (shared.nats.info?.max_payload ?? 2 ** 20) - HEADER_BYTES;
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

  get problem(): undefined {
    return undefined;
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
    this.#requests.giveUp(new DisconnectedError("the connection to the server was lost"));
  }

  ask<T>(request: () => Promise<T>): Promise<T> {
    // What is sent meanwhile would be kept, and sent at some time.
    if (this.#disconnectedSince !== undefined || this.#isClosed)
      return Promise.reject(new DisconnectedError("there is no connection to the server"));
    return this.#requests.ask(request);
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
