/** A connection whose server may not be there yet: until it is, its users are cut off like any others. */
import { connectNats, type NatsOptions, type NatsTransport } from "./nats.ts";
import { DisconnectedError } from "./nats-shared.ts";
import type { Entry, Log, LogKind, Transport } from "./transport.ts";
import { sleepOr } from "./wait.ts";

/** For so long the first try is waited for: what it says of wrong options is thrown. */
const FIRST_TRY_MS = 2000;
/** Between two tries after a server has refused us. */
const RETRY_MS = 2000;

/** What the users of one connection share. */
class Arrival {
  readonly since = Date.now();
  readonly #stop = new AbortController();
  readonly arrived: Promise<NatsTransport>;
  problem: string | undefined;
  users = 0;

  constructor(options: NatsOptions, refused: (error: unknown) => void, waiting: () => void) {
    const onWait: NatsOptions["onWait"] = (wait) => {
      this.problem = wait.problem;
      waiting();
      options.onWait?.(wait);
    };
    this.arrived = this.#connect({ ...options, onWait }, refused);
    this.arrived.catch(() => undefined);
  }

  async #connect(options: NatsOptions, refused: (error: unknown) => void): Promise<NatsTransport> {
    const { signal } = this.#stop;
    for (;;) {
      try {
        const transport = await connectNats(options, signal);
        this.problem = undefined;
        return transport;
      } catch (error) {
        if (signal.aborted) throw error;
        this.problem = error instanceof Error ? error.message : String(error);
        refused(error);
      }
      await sleepOr(signal, RETRY_MS);
    }
  }

  async leave(): Promise<void> {
    if (--this.users > 0) return;
    this.#stop.abort();
    // A try that is under way is closed when it has come to its end; that is not waited for.
    const closed = this.arrived.then((transport) => transport.close()).catch(() => undefined);
    if (this.problem === undefined) await closed;
  }
}

/** @throws what the first try says of wrong options or credentials */
export async function beginNats(options: NatsOptions): Promise<PendingTransport> {
  const first = Promise.withResolvers<void>();
  const arrival = new Arrival(options, first.reject, first.resolve);
  const pending = new PendingTransport(arrival);
  const timer = setTimeout(first.resolve, FIRST_TRY_MS);
  try {
    await Promise.race([first.promise, pending.arrived]);
    return pending;
  } catch (error) {
    await pending.close();
    throw error;
  } finally {
    clearTimeout(timer);
  }
}

export class PendingTransport implements Transport {
  /** Resolves with the connection. */
  readonly arrived: Promise<void>;
  readonly #arrival: Arrival;
  #transport: NatsTransport | undefined;
  #isClosed = false;

  /** @internal */
  constructor(arrival: Arrival) {
    arrival.users++;
    this.#arrival = arrival;
    this.arrived = arrival.arrived.then((transport) => {
      if (!this.#isClosed) this.#transport = transport.share();
    });
    this.arrived.catch(() => undefined);
  }

  /** Another user of the connection, which is closed with its last one. */
  share(): PendingTransport {
    return new PendingTransport(this.#arrival);
  }

  #there(): NatsTransport {
    if (this.#transport === undefined) throw new DisconnectedError("there is no connection to a server yet");
    return this.#transport;
  }

  get maxValueBytes(): number {
    return this.#there().maxValueBytes;
  }

  get disconnectedSince(): number | undefined {
    return this.#transport === undefined ? this.#arrival.since : this.#transport.disconnectedSince;
  }

  get problem(): string | undefined {
    return this.#transport === undefined ? this.#arrival.problem : this.#transport.problem;
  }

  async life(): Promise<string> {
    return this.#there().life();
  }

  async get(key: string): Promise<Entry | undefined> {
    return this.#there().get(key);
  }

  async put(key: string, value: Uint8Array, lastRevision: number): Promise<number> {
    return this.#there().put(key, value, lastRevision);
  }

  async *watch(key: string): AsyncGenerator<Entry> {
    yield* this.#there().watch(key);
  }

  async keys(): Promise<string[]> {
    return this.#there().keys();
  }

  log(key: string, kind: LogKind): Log {
    return this.#there().log(key, kind);
  }

  async close(): Promise<void> {
    if (this.#isClosed) return;
    this.#isClosed = true;
    await this.#transport?.close();
    await this.#arrival.leave();
  }
}
