/** A local channel with the messages of another machine's, under the same indices. */
import { type ChannelContent, channelPlan, channelType } from "../channel/channel-content.ts";
import type { RingWriter } from "../channel/ring.ts";
import { MirrorError } from "../errors/errors.ts";
import { createSegment } from "../segment/create.ts";
import { placeOfPath } from "../segment/place.ts";
import { Segment } from "../segment/segment.ts";
import { dataOf } from "./fenced-log.ts";
import { checkBytes } from "./frame.ts";
import { decodeBatch, type SentMessage } from "./messages.ts";
import { Conversions, payloadOf } from "./payloads.ts";
import { LOCK_TIMEOUT_MS, type Sink, type SinkParts } from "./sink.ts";
import type { Entry } from "./transport.ts";
import { sleepOr } from "./wait.ts";

const RETRY_MS = 200;
/** The file is looked at this often. */
const LOOK_EVERY_MS = 1000;

export class ChannelSink implements Sink {
  readonly #parts: SinkParts;
  readonly #conversions: Conversions;
  readonly #segment: Segment<ChannelContent>;
  readonly #writer: RingWriter;
  /** Messages that never came. */
  #missed = 0;
  #entry: number;
  #logLife: string | undefined;
  #epoch = 0;
  #lookedAt = Date.now();

  /** @throws MirrorError for nonsense; LockTimeoutError while a local publisher has the channel; SystemError */
  constructor(parts: SinkParts) {
    const { frame, path, trust, state, mode } = parts;
    this.#parts = parts;
    this.#conversions = new Conversions(frame.schema);
    const isGoneOn = state?.role === "follow" && state.life === frame.head.life && hasShapeOf(parts);
    if (!isGoneOn) make(parts);
    this.#entry = isGoneOn ? (state.entry ?? 0) : 0;
    this.#logLife = isGoneOn ? state.logLife : undefined;
    this.#segment = new Segment(placeOfPath(path), channelType(), {
      access: "write",
      makesLock: true,
      mode,
      trust,
    });
    try {
      this.#segment.acquire("exclusive", { timeoutMs: LOCK_TIMEOUT_MS });
      this.#writer = this.#segment.content.writer();
      this.#writer.takeOver(process.pid);
    } catch (error) {
      this.#segment.close();
      throw error;
    }
    this.#tell(Date.now());
  }

  get figures(): { readonly missed: number } {
    return { missed: this.#missed };
  }

  isFor({ head }: SinkParts["frame"]): boolean {
    return head.kind === "channel" && head.life === this.#parts.frame.head.life;
  }

  async run(signal: AbortSignal): Promise<void> {
    const log = this.#parts.transport.log(this.#parts.key, "channel");
    while (!signal.aborted) {
      try {
        const { life } = await log.state();
        if (life !== this.#logLife) this.#entry = 0;
        this.#logLife = life;
        for await (const entry of log.read(this.#entry + 1, signal)) {
          if (signal.aborted) return;
          this.#store(entry);
        }
      } catch (error) {
        if (!this.#isInPlace()) throw error;
        this.#parts.failed(error);
      }
      await sleepOr(signal, RETRY_MS);
      if (!this.#isInPlace()) throw new MirrorError(`'${this.#parts.path}' was deleted or replaced`);
    }
  }

  #isInPlace(): boolean {
    const { file } = this.#segment.content;
    return file.isWhole && !file.isUnlinkedOrReplaced && !file.isSuperseded;
  }

  #store({ value, revision }: Entry): void {
    const now = Date.now();
    if (now - this.#lookedAt > LOOK_EVERY_MS && !this.#isInPlace())
      throw new MirrorError(`'${this.#parts.path}' was deleted or replaced`);
    const data = dataOf(value);
    const problem = data && problemOf(() => this.#storeBatch(data));
    if (problem !== undefined) this.#parts.failed(problem);
    this.#entry = revision;
    if (now - this.#lookedAt > LOOK_EVERY_MS) this.#tell(now);
  }

  #storeBatch(data: Uint8Array): void {
    const { head, messages } = decodeBatch(data);
    // Of another file of the origin, or of a publisher that was fenced.
    if (String(head.life) !== this.#parts.frame.head.life || head.epoch < this.#epoch) return;
    this.#epoch = head.epoch;
    const convert = this.#conversions.of(head.abi);
    let problem: MirrorError | undefined;
    for (const message of messages)
      if (message.index >= this.#writer.index)
        problem = problemOf(() => this.#send(message, convert(message.payload))) ?? problem;
    this.#segment.notify();
    this.#parts.stored(this.#writer.index, toMs(messages.at(-1)));
    if (problem !== undefined) throw problem;
  }

  #send({ index, type, timeLow, timeHigh, user }: SentMessage, payload: Uint8Array): void {
    const writer = this.#writer;
    if (payload.length > writer.payloadBytes)
      throw new MirrorError(`a message of ${payload.length} bytes is longer than ${writer.payloadBytes}`);
    this.#missed += index - writer.index;
    writer.skipTo(index);
    const slot = writer.loan();
    writer.payload(slot).set(payload);
    writer.payload(slot).fill(0, payload.length);
    writer.user(slot).set(user);
    writer.sendAt(payload.length, type, timeLow, timeHigh);
  }

  #tell(now: number): void {
    this.#lookedAt = now;
    const { life } = this.#parts.frame.head;
    this.#parts.note({ life, logLife: this.#logLife, entry: this.#entry });
  }

  close(): void {
    if (this.#segment.closed) return;
    try {
      this.#tell(Date.now());
      if (this.#isInPlace()) this.#writer.close();
      this.#segment.notify();
    } finally {
      this.#segment.close();
    }
  }
}

/** What cannot be a message here is missed and told: those that come after it are not held up. */
function problemOf(store: () => void): MirrorError | undefined {
  try {
    store();
    return undefined;
  } catch (error) {
    if (error instanceof MirrorError) return error;
    throw error;
  }
}

const toMs = (message: SentMessage | undefined): number | undefined =>
  message && (message.timeHigh * 2 ** 32 + (message.timeLow >>> 0)) / 1e6;

/** Whether the local file holds such messages. */
function hasShapeOf({ path, trust, frame: { head } }: SinkParts): boolean {
  const segment = new Segment(placeOfPath(path), channelType(), {
    access: "read",
    makesLock: false,
    mayBeMissing: true,
    trust,
  });
  try {
    const { geometry, file } = segment.content;
    return (
      geometry.slots === head.slots &&
      geometry.payloadBytes === head.contentBytes &&
      String(file.footer?.fingerprint) === head.fingerprint
    );
  } catch {
    return false;
  } finally {
    segment.close();
  }
}

/** Makes the local channel; subscribers of one that was there go on in it. */
function make({ path, mode, trust, maxBytes, frame: { head, schema } }: SinkParts): void {
  const payload = payloadOf(head, schema);
  const plan = channelPlan(payload, head.slots ?? 0, payload.isVariable ? head.contentBytes : undefined);
  checkBytes(plan.contentBytes, maxBytes);
  const options = { force: true, mode, trust, timeoutMs: LOCK_TIMEOUT_MS };
  createSegment(placeOfPath(path), plan, channelType(), options);
}
