/** A log as a JetStream stream of its own: its last sequence fences those who append, also where entries are taken out. */
import type { Consumer, ConsumerMessages, JsMsg, StreamConfig, StreamInfo } from "@nats-io/jetstream";
import { isMissing, type Link, type NatsShared, orConflict, timeoutFor } from "./nats-shared.ts";
import type { Delivery, Entry, Log, LogKind, LogState } from "./transport.ts";

/** The messages of a channel that are kept for followers that come later or were cut off: the newest bytes of them. */
const CHANNEL_BYTES = 64 * 2 ** 20;
/** For so long an entry with the same id is not appended again. */
const SAME_ID_NS = 120e9;
const NS_PER_MS = 1e6;
/** How long one question for jobs is open. */
const TAKE_MS = 2000;
/** Jobs that all takers together may have in hand. */
const MAX_TAKEN = 65_536;
const CONSUMER = "workers";
/** Between two looks whether there is room. */
const ROOM_MS = 20;

/** What each kind of log needs of its stream. */
const CONFIGS: Readonly<Record<LogKind, Partial<StreamConfig>>> = {
  chunks: {},
  channel: { max_bytes: CHANNEL_BYTES },
  queue: { retention: "workqueue" as StreamConfig["retention"], duplicate_window: SAME_ID_NS },
};

export class NatsLog implements Log {
  readonly #shared: NatsShared;
  readonly #link: Link;
  readonly #kind: LogKind;
  readonly #name: string;
  readonly #subject: string;

  constructor(shared: NatsShared, link: Link, key: string, kind: LogKind) {
    this.#shared = shared;
    this.#link = link;
    this.#kind = kind;
    const { bucket } = shared;
    this.#subject = `shmstruct.${kind}.${bucket}.${key}`;
    // What the name of a stream must not have in it; a percent sign would be one of the server's own formats.
    const hex = (c: string): string => `=${c.charCodeAt(0).toString(16)}`;
    this.#name = `SHM_${kind}_${bucket}_${key.replaceAll(/[./=]/g, hex)}`;
  }

  async exists(): Promise<boolean> {
    try {
      await this.#link.ask(() => this.#shared.jsm.streams.info(this.#name));
      return true;
    } catch (error) {
      if (isMissing(error)) return false;
      throw error;
    }
  }

  async state(): Promise<LogState> {
    const { created, state } = await this.#link.ask(() => this.#info());
    return { life: created, last: state.last_seq };
  }

  async #info(): Promise<StreamInfo> {
    const { streams } = this.#shared.jsm;
    try {
      return await streams.info(this.#name);
    } catch (error) {
      if (!isMissing(error)) throw error;
      const config = { name: this.#name, subjects: [this.#subject], num_replicas: this.#shared.replicas };
      return streams.add({ ...config, ...CONFIGS[this.#kind] });
    }
  }

  async append(value: Uint8Array, last: number, id?: string): Promise<number> {
    const { js } = this.#shared;
    const expect = { streamName: this.#name, lastSequence: last };
    const options = { expect, timeout: timeoutFor(value.length), ...(id !== undefined && { msgID: id }) };
    const sent = this.#link.ask(() => js.publish(this.#subject, value, options));
    const { seq, duplicate } = await orConflict(sent, this.#subject);
    return duplicate ? last : seq;
  }

  async at(revision: number): Promise<Uint8Array | undefined> {
    const { streams } = this.#shared.jsm;
    return (await this.#link.ask(() => streams.getMessage(this.#name, { seq: revision })))?.data;
  }

  async *read(from: number, signal: AbortSignal): AsyncGenerator<Entry> {
    const { js } = this.#shared;
    const start = { deliver_policy: "by_start_sequence" as never, opt_start_seq: Math.max(1, from) };
    const consumer = await this.#link.ask(() => js.consumers.get(this.#name, start));
    const messages = await consumer.consume({ max_messages: 256 });
    using _ = this.#until(signal, messages);
    for await (const { data, seq } of messages) yield { value: data, revision: seq };
  }

  async trim(before: number): Promise<void> {
    await this.#link.ask(() => this.#shared.jsm.streams.purge(this.#name, { seq: before }));
  }

  async *take(ackWaitMs: number, room: () => number, signal: AbortSignal): AsyncGenerator<Delivery> {
    const consumer = await this.#link.ask(() => this.#workers(ackWaitMs));
    while (!signal.aborted) {
      const count = room();
      if (count === 0) {
        await Bun.sleep(ROOM_MS);
        continue;
      }
      const messages = await this.#link.ask(() => consumer.fetch({ max_messages: count, expires: TAKE_MS }));
      using _ = this.#until(signal, messages);
      for await (const message of messages) yield deliveryOf(message);
      if (this.#link.disconnectedSince !== undefined) return;
    }
  }

  /** Ends what is read with the signal, and when the connection is lost. */
  #until(signal: AbortSignal, messages: ConsumerMessages): Disposable {
    const stop = (): void => messages.stop();
    const open = this.#link.opened(messages);
    signal.addEventListener("abort", stop);
    if (signal.aborted) stop();
    return {
      [Symbol.dispose]() {
        open[Symbol.dispose]();
        signal.removeEventListener("abort", stop);
      },
    };
  }

  async #workers(ackWaitMs: number): Promise<Consumer> {
    const { js, jsm } = this.#shared;
    const ack_wait = ackWaitMs * NS_PER_MS;
    const config = { ack_wait, max_ack_pending: MAX_TAKEN };
    try {
      const { config: there } = await jsm.consumers.info(this.#name, CONSUMER);
      if (there.ack_wait !== ack_wait) await jsm.consumers.update(this.#name, CONSUMER, config);
    } catch (error) {
      if (!isMissing(error)) throw error;
      const fresh = { durable_name: CONSUMER, ack_policy: "explicit" as never, ...config };
      await jsm.consumers.add(this.#name, fresh);
    }
    return js.consumers.get(this.#name, CONSUMER);
  }
}

const deliveryOf = (message: JsMsg): Delivery => ({
  value: message.data,
  revision: message.seq,
  extend: () => message.working(),
  done: () => message.ackAck(),
  giveBack: (afterMs) => message.nak(afterMs),
});
