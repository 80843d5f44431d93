/** Whatever stands in the bucket: an error of ours, and soon. */
import { expect, test } from "bun:test";
import { ShmError } from "../../src/errors/errors.ts";
import { c_double, c_int32, chars, field, MmapStructure } from "../../src/index.ts";
import { localForm } from "../../src/mirror/contents.ts";
import { decodeFrame, encodeFrame, imageOf } from "../../src/mirror/frame.ts";
import { parseLease } from "../../src/mirror/lease.ts";
import { decodeBatch } from "../../src/mirror/messages.ts";
import { Conversions, payloadOf } from "../../src/mirror/payloads.ts";
import { decodeJob } from "../../src/mirror/queue-source.ts";
import { ABI_TAG } from "../../src/segment/abi.ts";
import { layoutOfClass } from "../../src/struct/layout/layout.ts";
import { fingerprintOf, schemaOf } from "../../src/struct/schema/schema.ts";
import { type Random, randomFrom, seedOfRun } from "../support/random.ts";

class Pose extends MmapStructure {
  @field(c_int32) n!: number;
  @field(c_double) x!: number;
  @field(chars(12)) name!: string;
}

const ROUNDS = 1500;
const layout = layoutOfClass(Pose);
const schema = schemaOf(layout);
const content = new Uint8Array(layout.size).fill(3);

const frame = (kind: "record" | "channel"): Uint8Array =>
  encodeFrame(
    {
      format: 2,
      epoch: 1,
      version: 5,
      sentAt: 1,
      abi: ABI_TAG,
      kind,
      lockKind: "flock",
      transactional: false,
      contentBytes: layout.size,
      fingerprint: String(fingerprintOf(layout)),
      slots: 4,
    },
    Buffer.from(JSON.stringify(kind === "record" ? schema : { payload: schema })),
    kind === "record" ? content : new Uint8Array(),
  );

/** An entry of a channel's log with two messages. */
function batch(): Uint8Array {
  const message = 64 + content.length;
  const bytes = new Uint8Array(24 + 2 * message);
  const view = new DataView(bytes.buffer);
  view.setUint32(0, ABI_TAG, true);
  view.setUint32(4, 1, true);
  for (const [i, at] of [24, 24 + message].entries()) {
    view.setUint32(at, content.length, true);
    view.setBigUint64(at + 8, BigInt(i), true);
    bytes.set(content, at + 64);
  }
  return bytes;
}

/** Some bytes or numbers of it changed, or its end cut off. */
function mutated(bytes: Uint8Array, random: Random): Uint8Array {
  const copy = Uint8Array.from(bytes);
  for (let i = random.whole(1, 4); i > 0; i--) {
    const at = random.whole(0, copy.length - 5);
    if (random.oneIn(3))
      new DataView(copy.buffer).setUint32(at, random.pick([0, 1, 2 ** 31, 2 ** 32 - 1]), true);
    else copy[at] = random.oneIn(2) ? random.whole(0, 255) : random.pick([...Buffer.from('09-,:{}[]"\\')]);
  }
  return random.oneIn(5) ? copy.subarray(0, random.whole(0, copy.length)) : copy;
}

/** What each reader of values does with one. */
const readers: [string, Uint8Array, (bytes: Uint8Array) => unknown][] = [
  [
    "a state",
    frame("record"),
    (bytes) => {
      const { head, schema: described, content: sent } = decodeFrame(bytes);
      const image = imageOf(head, described, sent, 2 ** 20);
      return localForm(image, head.abi, "/tmp/none", layout)(image);
    },
  ],
  [
    "what a channel is",
    frame("channel"),
    (bytes) => {
      const { head, schema: described } = decodeFrame(bytes);
      return [payloadOf(head, described), new Conversions(described).of(head.abi)];
    },
  ],
  [
    "messages",
    batch(),
    (bytes) => {
      const { head, messages } = decodeBatch(bytes);
      const convert = new Conversions(Buffer.from(JSON.stringify({ payload: schema }))).of(head.abi);
      return messages.map(({ payload }) => convert(payload));
    },
  ],
  [
    "a job",
    new Uint8Array([...new Uint8Array(Uint32Array.of(ABI_TAG).buffer), ...content]),
    (bytes) => {
      const { abi, payload } = decodeJob(bytes);
      return new Conversions(Buffer.from(JSON.stringify({ payload: schema }))).of(abi)(payload);
    },
  ],
  [
    "a lease",
    Buffer.from(JSON.stringify({ epoch: 3, isReleased: false, leaseMs: 5000, holder: "x" })),
    parseLease,
  ],
];

test.each(readers)("a changed value is read, or is an error of the library: %s", (_, good, read) => {
  const seed = seedOfRun();
  const random = randomFrom(seed);
  expect(() => read(good)).not.toThrow();
  let refused = 0;
  for (let round = 0; round < ROUNDS; round++) {
    try {
      read(mutated(good, random));
    } catch (error) {
      refused++;
      if (!(error instanceof ShmError))
        throw new Error(`SEED=${seed}, round ${round}: ${error}`, { cause: error });
    }
  }
  // A lease that is nonsense is none, and throws nothing.
  expect(refused > ROUNDS / 10 || read === parseLease).toBe(true);
});
