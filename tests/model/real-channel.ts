/** The classes of a channel's ring themselves (src/channel/ring.ts), in every interleaving; see real-steps.ts. */
import { RingReader, RingWriter } from "../../src/channel/ring.ts";
import { type SlotGeometry, wordOf } from "../../src/segment/slot-geometry.ts";
import type { Event, Program, RealModel, SteppedMemory } from "./real-steps.ts";

/** Faults to build in, each of which must be found. */
export type RealChannelFault = "no second look" | "a message before its payload";

export interface RealChannelOptions {
  /** Where the ring begins: so many messages were sent by a publisher before. */
  readonly before: number;
  /** How many are sent in all, by so many publishers one after the other. */
  readonly messages: number;
  readonly publishers: number;
  readonly looks: number;
  readonly deaths: number;
  readonly fault?: RealChannelFault;
}

const GEOMETRY: SlotGeometry = { slots: 2, payloadBytes: 8, strideBytes: 128, firstByteOffset: 512 };
const FIRST = GEOMETRY.firstByteOffset / 4;
const STRIDE = GEOMETRY.strideBytes / 4;
const NEXT = 16;
const INDEX = 2;
const PAYLOAD = 16;
/** The writer's lock: behind the slots. */
const LOCK = FIRST + GEOMETRY.slots * STRIDE;

const inSlot = (word: number): number => (word >= FIRST && word < LOCK ? (word - FIRST) % STRIDE : -1);

/** What a message holds: its index, as far as a word has room, and its publisher. */
const contentOf = (index: number, publisher: number): number => (index % 2 ** 20) * 16 + publisher;
const publisherOf = (content: number): number => content & 15;

function publish(
  memory: SteppedMemory,
  writer: RingWriter,
  publisher: number,
  fault?: RealChannelFault,
): number {
  const { index } = writer;
  const content = contentOf(index, publisher);
  const payload = wordOf(writer.payloadOffset(writer.loan()));
  const send = (): void => writer.sendAt(8, 0, 0, 0);
  if (fault === "a message before its payload") send();
  memory.store(payload, content);
  memory.store(payload + 1, content);
  if (fault !== "a message before its payload") send();
  return index;
}

const publisher =
  (number: number, { before, messages, fault }: RealChannelOptions): Program =>
  (memory, note) => {
    memory.lock(LOCK, number);
    const writer = new RingWriter(memory.bytes, GEOMETRY);
    writer.takeOver(1);
    while (writer.index < before + messages)
      note({ what: "sent", value: publish(memory, writer, number, fault), by: number });
    memory.store(LOCK, 0);
  };

/** Receives the next message, if there is one. */
function receive(
  memory: SteppedMemory,
  reader: RingReader,
  note: (event: Event) => void,
  fault?: RealChannelFault,
): boolean {
  const slot = reader.find();
  if (slot < 0) return false;
  const { cursor } = reader;
  const payload = wordOf(reader.payloadOffset(slot));
  const value = memory.load(payload);
  const isWhole = memory.load(payload + 1) === value;
  if (fault !== "no second look" && !reader.finish(slot)) return true;
  const by = publisherOf(value);
  const what = isWhole && value === contentOf(cursor, by) ? "received" : "torn";
  note({ what, value: cursor, by, count: reader.takeMissed() });
  if (fault === "no second look") reader.cursor = cursor + 1;
  return true;
}

const subscriber =
  ({ looks, fault }: RealChannelOptions): Program =>
  (memory, note) => {
    const reader = new RingReader(memory.bytes, GEOMETRY, "oldest");
    note({ what: "begins", value: reader.cursor });
    for (let look = 0; look < looks; look++) receive(memory, reader, note, fault);
  };

/** A publisher and a subscriber that come when all is over. */
const late: Program = (memory, note) => {
  new RingWriter(memory.bytes, GEOMETRY).takeOver(1);
  const reader = new RingReader(memory.bytes, GEOMETRY, "oldest");
  note({ what: "begins", value: reader.cursor });
  while (receive(memory, reader, note));
  note({ what: "published", value: reader.published });
};

/** Received and missed must be all there was, in order. */
function whatIsMiscounted(events: readonly Event[]): string | undefined {
  let next = 0;
  for (const { what, value, count = 0 } of events) {
    if (what === "begins") next = value;
    if (what !== "received") continue;
    if (value !== next + count) return `message ${value} comes after ${next}, ${count} missed`;
    next = value + 1;
  }
  return undefined;
}

function whatIsWrong(all: readonly (readonly Event[])[], { before }: RealChannelOptions): string | undefined {
  const known = new Map<number, number>();
  const events = all.flat();
  for (const { what, value, by = 0 } of events) {
    if (what === "torn") return `torn: ${value}`;
    if ((what !== "sent" && what !== "received") || value < before) continue;
    const other = known.get(value) ?? by;
    if (other !== by) return `two messages ${value}: of publishers ${other} and ${by}`;
    known.set(value, by);
  }
  const published = events.find(({ what }) => what === "published")!.value;
  const sent = Math.max(before, ...[...known.keys()].map((index) => index + 1));
  if (published < sent) return `${published} are published, ${sent} were sent or received`;
  return all.map(whatIsMiscounted).find((wrong) => wrong !== undefined);
}

export function realChannel(options: RealChannelOptions): RealModel {
  const publishers = Array.from({ length: options.publishers }, (_, i) => publisher(i + 1, options));
  return {
    words: LOCK + 1,
    isShared: (word) => word === NEXT || word === LOCK || [0, PAYLOAD, PAYLOAD + 1].includes(inSlot(word)),
    initial: (words) => {
      // As a publisher has left it that has sent `before` messages.
      for (let index = Math.max(0, options.before - GEOMETRY.slots); index < options.before; index++) {
        const slot = FIRST + (index % GEOMETRY.slots) * STRIDE;
        words[slot] = 2 * index + 2;
        words[slot + INDEX] = index;
        words.fill(contentOf(index, 0), slot + PAYLOAD, slot + PAYLOAD + 2);
      }
      words[NEXT] = options.before;
    },
    threads: [...publishers, subscriber(options)],
    deaths: options.deaths,
    onDeath: (words, thread) => {
      if (words[LOCK] === thread + 1) words[LOCK] = 0;
    },
    check: (events, _, run) => whatIsWrong([...events, run(late)], options),
  };
}
