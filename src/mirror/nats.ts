/** NATS JetStream: a key-value bucket, whose revisions fence publishers. */
import type { KV, KvEntry } from "@nats-io/kv";
import type { NatsConnection, NodeConnectionOptions } from "@nats-io/transport-node";
import { MirrorError } from "../errors/errors.ts";
import { ConflictError, type Entry, type Transport } from "./transport.ts";

/** Where the bucket is. */
export interface NatsOptions {
  /** One server or several of a cluster. @example "nats://10.0.0.1:4222" */
  readonly servers: string | readonly string[];
  /** The key-value bucket; made if it is missing. */
  readonly bucket: string;
  /** Credentials, TLS and the rest, as `connect` of @nats-io/transport-node takes them. */
  readonly connection?: NodeConnectionOptions | undefined;
  /** Copies of the bucket in a cluster: 1, 3 or 5. Default 1. */
  readonly replicas?: number | undefined;
}

/** Room that the protocol's headers take of the server's max_payload. */
const HEADER_BYTES = 8192;
/** JetStream's "wrong last sequence", of one server and of a cluster. */
const CONFLICTS: readonly unknown[] = [10071, 10164];

/** @throws MirrorError without the packages; what `connect` throws */
export async function connectNats({
  servers,
  bucket,
  connection,
  replicas,
}: NatsOptions): Promise<Transport> {
  const { connect, Kvm } = await packages();
  const nats = await connect({
    // A mirror outlives its server.
    maxReconnectAttempts: -1,
    reconnectTimeWait: 250,
    pingInterval: 5000,
    ...connection,
    servers: typeof servers === "string" ? servers : [...servers],
  });
  try {
    const kv = await new Kvm(nats).create(bucket, { history: 1, ...(replicas && { replicas }) });
    return new NatsTransport(nats, kv);
  } catch (error) {
    await nats.close();
    throw error;
  }
}

async function packages() {
  try {
    const [{ connect }, { Kvm }] = await Promise.all([
      import("@nats-io/transport-node"),
      import("@nats-io/kv"),
    ]);
    return { connect, Kvm };
  } catch (cause) {
    throw new MirrorError(
      `a mirror needs the packages @nats-io/transport-node and @nats-io/kv: bun add @nats-io/transport-node @nats-io/jetstream @nats-io/kv (${cause})`,
    );
  }
}

class NatsTransport implements Transport {
  readonly maxValueBytes: number;
  readonly #nats: NatsConnection;
  readonly #kv: KV;
  #disconnectedSince: number | undefined;

  constructor(nats: NatsConnection, kv: KV) {
    this.#nats = nats;
    this.#kv = kv;
    this.maxValueBytes = (nats.info?.max_payload ?? 2 ** 20) - HEADER_BYTES;
    void this.#followStatus();
  }

  get disconnectedSince(): number | undefined {
    return this.#disconnectedSince;
  }

  async #followStatus(): Promise<void> {
    for await (const { type } of this.#nats.status()) {
      if (type === "disconnect" || type === "staleConnection") this.#disconnectedSince ??= Date.now();
      if (type === "reconnect") this.#disconnectedSince = undefined;
    }
  }

  async get(key: string): Promise<Entry | undefined> {
    return entryOf(await this.#kv.get(key));
  }

  async put(key: string, value: Uint8Array, lastRevision: number): Promise<number> {
    try {
      return lastRevision === 0
        ? await this.#kv.create(key, value)
        : await this.#kv.update(key, value, lastRevision);
    } catch (error) {
      if (CONFLICTS.includes((error as { code?: unknown }).code)) throw new ConflictError(key);
      throw error;
    }
  }

  purge(key: string): Promise<void> {
    return this.#kv.purge(key);
  }

  async *watch(key: string): AsyncGenerator<Entry> {
    for await (const found of await this.#kv.watch({ key })) {
      const entry = entryOf(found);
      if (entry !== undefined) yield entry;
    }
  }

  close(): Promise<void> {
    return this.#nats.close();
  }
}

const entryOf = (entry: KvEntry | null): Entry | undefined =>
  entry === null || entry.operation !== "PUT" ? undefined : { value: entry.value, revision: entry.revision };
