/** Channels for tools that do not have the class. */
import {
  type ContentUser,
  fileCommands,
  type InspectOptions,
  type Inspector,
  type InspectorType,
  inspectSegment,
  type Look,
  type LookedAtMessage,
  type MessageSender,
  type MessagesOptions,
  refuseWriting,
  versionAt,
} from "../segment/inspector.ts";
import { type Message, type Payload, payloadInFile, plainMessage } from "../segment/payload.ts";
import { placeOfPath } from "../segment/place.ts";
import { Segment } from "../segment/segment.ts";
import { SegmentFile } from "../segment/segment-file.ts";
import { toMilliseconds } from "../sys/clock.ts";
import { type ChannelContent, channelType } from "./channel-content.ts";
import type { RingReader, RingWriter } from "./ring.ts";

/** How channels are inspected. */
export const channelInspector: InspectorType = {
  read: (path, options) => inspectChannel(path, options),
  ...fileCommands(placeOfPath, () => channelType()),
  sender: openSender,
  version: (path, trust) => versionAt(path, channelType(), trust),
  write: (path) =>
    refuseWriting(path, "is a channel: its messages come from its publisher, and are not changed"),
};

const inspectChannel = (path: string, options: InspectOptions): Inspector =>
  inspectSegment(placeOfPath(path), channelType(), options, (segment) => {
    const payload = payloadInFile(segment.content.file, options.limits);
    return {
      kind: "channel",
      schema: payload.structSchema,
      look: () => look(segment.current() ?? segment.content, payload),
      users: () => publisherOf(segment.content),
      messages: (which) => messages(segment, payload, which),
    };
  });

/** The publisher, unless it has ended by itself; the lock tells whether it lives. */
const publisherOf = ({ isClosed, publisherPid: pid, epoch }: ChannelContent): ContentUser[] =>
  isClosed || pid === 0 ? [] : [{ pid, does: `publishes (publisher ${epoch})` }];

/** A publisher of the channel, which waits for one that is still there. */
function openSender(path: string, { timeoutMs: waitMs, limits, ...trust }: InspectOptions): MessageSender {
  const place = placeOfPath(path);
  const type = channelType();
  using file = SegmentFile.open(path, { access: "read", words: type.words, leastBytes: 1, trust });
  const payload = payloadInFile(file, limits);
  const segment = new Segment(place, type, { access: "write", makesLock: false, trust });
  try {
    segment.acquire("exclusive", { timeoutMs: waitMs });
    const writer = segment.content.writer();
    writer.takeOver(process.pid);
    return sender(segment, writer, payload);
  } catch (error) {
    segment.close();
    throw error;
  }
}

function sender(
  segment: Segment<ChannelContent>,
  writer: RingWriter,
  payload: Payload<Message>,
): MessageSender {
  const { bytes } = segment.content;
  return {
    blank: plainMessage(payload.copy(writer.payloadBytes).view),
    send(value, { type }) {
      const slot = writer.loan();
      writer.payload(slot).fill(0);
      const region = payload.region(bytes, writer.payloadOffset(slot), writer.payloadBytes, "write");
      const message = payload.isBytes ? Uint8Array.from(value as number[]) : value;
      const length = payload.assign(payload.view(region), message) ?? payload.structBytes;
      writer.send(length, type);
      segment.notify();
    },
    [Symbol.dispose]() {
      writer.close();
      segment.close();
    },
  };
}

function look(content: ChannelContent, payload: Payload<Message>): Look {
  const reader = content.reader("newest");
  const found = nextWithBytes(reader, payload);
  const newest = found?.message;
  const value = {
    slots: content.geometry.slots,
    payloadBytes: content.geometry.payloadBytes,
    published: content.version,
    publisher: { pid: content.publisherPid, count: content.epoch, isClosed: content.isClosed },
    newest,
  };
  const parts = found && [{ title: `message ${found.message.index}`, bytes: found.bytes }];
  return { version: content.version, value, bytes: undefined, parts };
}

/** The next message; undefined without one. */
const next = (reader: RingReader, payload: Payload<Message>): LookedAtMessage | undefined =>
  nextWithBytes(reader, payload)?.message;

function nextWithBytes(
  reader: RingReader,
  payload: Payload<Message>,
): { readonly message: LookedAtMessage; readonly bytes: Uint8Array } | undefined {
  const { bytes, view } = payload.copy(reader.payloadBytes);
  const target = bytes.byteLength < reader.payloadBytes ? new Uint8Array(reader.payloadBytes) : bytes;
  if (!reader.receive(target, 0)) return undefined;
  if (target !== bytes) bytes.set(target.subarray(0, bytes.byteLength));
  const { index, length, type, timeLow, timeHigh } = reader;
  const message: LookedAtMessage = {
    index,
    missed: reader.takeMissed(),
    sentAt: toMilliseconds(timeLow, timeHigh),
    type,
    length,
    // At its first use: who only counts messages does not pay for millions of numbers.
    get value() {
      return payload.isBytes ? bytes.slice(0, length) : plainMessage(view);
    },
  };
  return { message, bytes: bytes.subarray(0, length) };
}

/** A turn after each pause, until the signal. */
async function* ticks(everyMs: number, signal: AbortSignal | undefined): AsyncGenerator<void> {
  for (; !signal?.aborted; yield) await Bun.sleep(everyMs);
}

/** Goes on in the file that takes the place of a replaced one. */
async function* messages(
  segment: Segment<ChannelContent>,
  payload: Payload<Message>,
  { from, signal, everyMs }: MessagesOptions,
): AsyncGenerator<LookedAtMessage> {
  const changes = everyMs === undefined ? segment.changes({ signal }) : ticks(everyMs, signal);
  let { content } = segment;
  let reader = content.reader(from);
  for (;;) {
    for (let message = next(reader, payload); message !== undefined; message = next(reader, payload))
      yield message;
    if ((await changes.next()).done) return;
    const current = segment.current();
    if (current === undefined || current === content) continue;
    content = current;
    reader = content.reader("oldest");
  }
}
