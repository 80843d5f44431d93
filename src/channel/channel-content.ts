/** A channel in a segment. */
import { FileFormatError } from "../errors/errors.ts";
import type { Content, ContentCopy, ContentType, ContentWords } from "../segment/content.ts";
import type { SegmentPlan } from "../segment/create.ts";
import type { Message, Payload } from "../segment/payload.ts";
import { optionsFor, type Place } from "../segment/place.ts";
import type { SegmentFile } from "../segment/segment-file.ts";
import { planSlots, type SlotGeometry, withoutFooter } from "../segment/slot-geometry.ts";
import {
  copyRing,
  type From,
  initRing,
  MAX_RING_SLOTS,
  RingReader,
  RingWriter,
  ringBytes,
  ringGeometry,
} from "./ring.ts";

const recreateHint = (place: Place | undefined): string =>
  `a Publisher with ${optionsFor(place, "create: true, force: true")} recreates it, which erases the messages that are there`;

/** The words of channels for the segment's messages. */
const channelWords = (payload: Payload<Message> | undefined, place: Place | undefined): ContentWords => ({
  owner: "the channel",
  file: "channel",
  create: `a Publisher makes it: new Publisher(${payload?.className ?? "Frame"}, ${optionsFor(place, "create: true")})`,
  recreate: recreateHint(place),
  lockFile: `a Publisher with ${optionsFor(place, "create: true")} makes it`,
  permit: `permission denied: the file has mode 0600 unless its Publisher was told another one, ${optionsFor(place, "create: true, mode: 0o644")}; check the directories too`,
});

/**
 * How channels of this payload are opened; without one, any channel is.
 * @param place for hints
 */
export const channelType = <T extends Message>(
  payload?: Payload<T>,
  place?: Place,
): ContentType<ChannelContent> => ({
  kind: "channel",
  words: channelWords(payload, place),
  lockKinds: ["flock"],
  leastBytes: 1,
  open: (file) => new ChannelContent(file, payload, place),
});

/** The plan of a new channel. @throws RangeError, TypeError for impossible sizes */
export function channelPlan<T extends Message>(
  payload: Payload<T>,
  slots: number,
  payloadBytes: number | undefined,
): SegmentPlan {
  const geometry = planSlots(slots, payload.capacity(payloadBytes), MAX_RING_SLOTS);
  return {
    content: "channel",
    lockKind: "flock",
    contentBytes: ringBytes(geometry),
    fingerprint: payload.fingerprint,
    schema: payload.schema(geometry.payloadBytes),
    name: `${slots} messages of ${payload.name}`,
    fill: ({ bytes }) => initRing(bytes, geometry),
  };
}

/** The channel in one open file. */
export class ChannelContent implements Content {
  readonly file: SegmentFile;
  readonly geometry: SlotGeometry;
  readonly bytes: Uint8Array<ArrayBuffer>;
  readonly #reader: RingReader;

  /** @throws FileFormatError when it is no channel, or damaged; LayoutMismatchError */
  constructor(file: SegmentFile, payload: Payload<Message> | undefined, place?: Place) {
    const recreate = recreateHint(place);
    if (file.footer === undefined)
      throw withoutFooter(file, { kind: "channel", maxSlots: MAX_RING_SLOTS, recreate });
    this.file = file;
    this.bytes = file.bytes.subarray(0, file.contentBytes);
    this.geometry = ringGeometry(this.bytes, (reason) => {
      throw new FileFormatError(
        file.path,
        `the channel '${file.path}' is damaged (${reason}); ${recreate}`,
        true,
      );
    });
    payload?.check(file, this.geometry.payloadBytes, recreate);
    this.#reader = this.reader("next");
  }

  /** How many messages were published: a channel's version has no generation. */
  get version(): number {
    return this.#reader.published;
  }

  /** Publishers so far. */
  get epoch(): number {
    return this.#reader.publisherEpoch;
  }

  get publisherPid(): number {
    return this.#reader.publisherPid;
  }

  /** Whether the last publisher has ended by itself. */
  get isClosed(): boolean {
    return this.#reader.isClosed;
  }

  reader(from: From): RingReader {
    return new RingReader(this.bytes, this.geometry, from, this.file.takeInPart);
  }

  writer(): RingWriter {
    return new RingWriter(this.bytes, this.geometry);
  }

  /** A publisher that takes over repairs what its predecessor left. */
  repair(): void {}

  /** The publisher holds the lock for its life, so the ring is copied while it goes on. */
  copyCommitted(): ContentCopy {
    return copyRing(this.bytes, this.geometry, this.file.takeInPart);
  }
}
