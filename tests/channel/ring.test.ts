import { describe, expect, test } from "bun:test";
import { ftruncateSync, openSync } from "node:fs";
import { join } from "node:path";
import {
  type From,
  initRing,
  RingReader,
  RingWriter,
  ringBytes,
  ringGeometry,
} from "../../src/channel/ring.ts";
import { planSlots, type SlotGeometry } from "../../src/segment/slot-geometry.ts";
import { Mapping } from "../../src/sys/mapping.ts";
import { randomFrom } from "../support/random.ts";
import { temporaryDirectory } from "../support/temporary.ts";

const MAX_SLOTS = 2 ** 20;

/** An empty ring in private memory. */
function ring(slots = 4, payloadBytes = 8): { bytes: Uint8Array; geometry: SlotGeometry } {
  const geometry = planSlots(slots, payloadBytes, MAX_SLOTS);
  const bytes = new Uint8Array(ringBytes(geometry));
  initRing(bytes, geometry);
  return { bytes, geometry };
}

function publisher({ bytes, geometry }: ReturnType<typeof ring>): RingWriter {
  const writer = new RingWriter(bytes, geometry);
  writer.takeOver(1);
  return writer;
}

const subscriber = ({ bytes, geometry }: ReturnType<typeof ring>, from: From = "next"): RingReader =>
  new RingReader(bytes, geometry, from);

function send(writer: RingWriter, ...values: number[]): void {
  for (const value of values) {
    writer.payload(writer.loan()).fill(value);
    writer.send(8, value);
  }
}

/** What a reader gets until there is nothing more: each message's first byte. */
function drain(reader: RingReader): number[] {
  const target = new Uint8Array(8);
  const got: number[] = [];
  while (reader.receive(target, 0)) got.push(target[0]!);
  return got;
}

describe("one publisher, one subscriber", () => {
  test("messages come in order, with index, type and length", () => {
    const memory = ring();
    const [writer, reader] = [publisher(memory), subscriber(memory)];
    send(writer, 10, 11);
    const target = new Uint8Array(8);
    expect(reader.receive(target, 0)).toBe(true);
    expect([reader.index, reader.type, reader.length, reader.epoch, target[7]]).toEqual([0, 10, 8, 1, 10]);
    expect(reader.receive(target, 0)).toBe(true);
    expect([reader.index, reader.type]).toEqual([1, 11]);
    expect(reader.receive(target, 0)).toBe(false);
  });

  test("a message of 3 bytes leaves the rest of the target alone", () => {
    const memory = ring();
    const [writer, reader] = [publisher(memory), subscriber(memory)];
    writer.payload(writer.loan()).fill(7);
    writer.send(3, 0);
    const target = new Uint8Array(8);
    reader.receive(target, 0);
    expect([...target]).toEqual([7, 7, 7, 0, 0, 0, 0, 0]);
  });

  test("a loan that is given back is not a message, and its index is used again", () => {
    const memory = ring();
    const [writer, reader] = [publisher(memory), subscriber(memory)];
    writer.loan();
    writer.giveBack();
    expect(drain(reader)).toEqual([]);
    send(writer, 5);
    expect(drain(reader)).toEqual([5]);
    expect(reader.index).toBe(0);
  });

  test("a lapped subscriber goes on in the middle and knows how many it has missed", () => {
    const memory = ring();
    const [writer, reader] = [publisher(memory), subscriber(memory)];
    send(writer, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9);
    expect(drain(reader)).toEqual([8, 9]);
    expect(reader.takeMissed()).toBe(8);
    expect(reader.takeMissed()).toBe(0);
  });

  test("a wait for the next message ends when it is whole, and goes on while it is written", () => {
    const memory = ring();
    const [writer, reader] = [publisher(memory), subscriber(memory)];
    expect(drain(reader)).toEqual([]);
    writer.loan();
    reader.awaitChange(10);
    expect(reader.find()).toBe(-1);
    reader.awaitChange(10);
    writer.send(8, 0);
    // It would never end otherwise.
    reader.awaitChange(Number.POSITIVE_INFINITY);
    expect(reader.find()).toBeGreaterThan(0);
    const before = reader.cursor;
    send(writer, 1, 2, 3, 4, 5);
    reader.awaitChange(Number.POSITIVE_INFINITY);
    expect(drain(reader)).toEqual([4, 5]);
    expect([before, reader.missed]).toEqual([0, 4]);
  });

  test("where a look is a call of the kernel, as in Node.js, a wait looks once: the clock is to be asked in between", () => {
    const memory = ring();
    let calls = 0;
    const reader = new RingReader(memory.bytes, memory.geometry, "next", () => {
      calls++;
    });
    expect(reader.find()).toBe(-1);
    calls = 0;
    reader.awaitChange(100);
    expect(calls).toBe(1);
  });

  test("a message changes no byte of the other slots, whose lines the publisher fetches", () => {
    const memory = ring();
    const writer = publisher(memory);
    send(writer, 1, 2, 3, 4, 5);
    const { strideBytes, firstByteOffset } = memory.geometry;
    const others = () => memory.bytes.slice(firstByteOffset + 2 * strideBytes);
    const before = others();
    send(writer, 6);
    expect(others()).toEqual(before);
  });

  test("a message that is overwritten while it is copied is not received", () => {
    const memory = ring();
    const [writer, reader] = [publisher(memory), subscriber(memory)];
    send(writer, 1);
    const slot = reader.find();
    send(writer, 2, 3, 4, 5);
    expect(reader.finish(slot)).toBe(false);
    expect(drain(reader)).toEqual([4, 5]);
    expect(reader.missed).toBe(3);
  });
});

test("a ring works with slots of a gigabyte each, to the end of a mapping of 4 GiB", () => {
  using directory = temporaryDirectory();
  const geometry = planSlots(4, 2 ** 30 - 4096, MAX_SLOTS);
  // A file with holes: only what is touched takes memory.
  const fd = openSync(join(directory.path, "ring"), "w+");
  ftruncateSync(fd, ringBytes(geometry));
  using mapping = Mapping.map(fd, { byteLength: ringBytes(geometry) });
  const bytes = new Uint8Array(mapping.buffer);
  initRing(bytes, geometry);
  expect(ringGeometry(bytes, (reason) => expect.unreachable(reason))).toEqual(geometry);
  const memory = { bytes, geometry };
  const [writer, reader] = [publisher(memory), subscriber(memory)];
  for (let value = 1; value <= 5; value++) {
    writer.payload(writer.loan())[2 ** 30 - 4097] = value;
    writer.send(2 ** 30 - 4096, value);
    const slot = reader.find();
    expect([slot, reader.part(slot).at(-1), reader.finish(slot)]).toEqual([expect.any(Number), value, true]);
  }
  expect(bytes.at(-1)).toBe(4);
});

describe("where a subscriber begins", () => {
  test.each([
    ["newest", [5]],
    ["oldest", [2, 3, 4, 5]],
    ["next", []],
  ] as const)('a subscriber that begins at "%s" receives the messages from there', (from, expected) => {
    const memory = ring();
    send(publisher(memory), 0, 1, 2, 3, 4, 5);
    expect(drain(subscriber(memory, from))).toEqual([...expected]);
  });

  test('a subscriber from "oldest" skips the slot in which the publisher is at work', () => {
    const memory = ring();
    const writer = publisher(memory);
    send(writer, 0, 1, 2, 3, 4, 5);
    writer.loan();
    expect(drain(subscriber(memory, "oldest"))).toEqual([3, 4, 5]);
  });

  test.each(["newest", "oldest", "next"] as const)(
    'a subscriber from "%s" of an empty ring receives the first message',
    (from) => {
      const memory = ring();
      const writer = publisher(memory);
      const reader = subscriber(memory, from);
      send(writer, 9);
      expect(drain(reader)).toEqual([9]);
      expect(reader.missed).toBe(0);
    },
  );

  test("skipping to the newest message counts those before it as missed", () => {
    const memory = ring(8);
    const [writer, reader] = [publisher(memory), subscriber(memory)];
    send(writer, 1, 2, 3);
    reader.skipToNewest();
    expect(drain(reader)).toEqual([3]);
    expect(reader.missed).toBe(2);
  });
});

describe("publishers after each other", () => {
  test("the next publisher goes on with the next index and the next epoch", () => {
    const memory = ring();
    const reader = subscriber(memory);
    send(publisher(memory), 1, 2);
    send(publisher(memory), 3);
    expect(drain(reader)).toEqual([1, 2, 3]);
    expect([reader.index, reader.epoch]).toEqual([2, 2]);
  });

  test("the message of a publisher that died while it wrote is never received", () => {
    const memory = ring();
    const reader = subscriber(memory);
    const dying = publisher(memory);
    send(dying, 1);
    dying.payload(dying.loan()).fill(99);
    send(publisher(memory), 2);
    expect(drain(reader)).toEqual([1, 2]);
  });

  test("the message of a publisher that died before it had counted it stays", () => {
    const memory = ring();
    const reader = subscriber(memory);
    send(publisher(memory), 1, 2);
    new Int32Array(memory.bytes.buffer)[64 / 4] = 1;
    send(publisher(memory), 3);
    expect(drain(reader)).toEqual([1, 2, 3]);
  });
});

describe("numbers that wrap", () => {
  /** A ring as after `count` messages. */
  function after(count: number, memory = ring()): ReturnType<typeof ring> {
    const words = new Int32Array(memory.bytes.buffer);
    const { slots, strideBytes, firstByteOffset } = memory.geometry;
    words[64 / 4] = count | 0;
    for (let k = count - slots; k < count; k++) {
      const slot = (firstByteOffset + (k % slots) * strideBytes) / 4;
      words[slot] = (2 * (k % 2 ** 32) + 2) | 0;
      words[slot + 1] = 8;
      words[slot + 2] = k | 0;
      words[slot + 3] = Math.floor(k / 2 ** 32);
    }
    return memory;
  }

  test.each([2 ** 31 - 2, 2 ** 32 - 2, 2 ** 32, 2 ** 40 - 1, 2 ** 52])(
    "a ring goes on after %d messages",
    (count) => {
      const memory = after(count);
      const reader = subscriber(memory);
      expect(reader.published).toBe(count);
      const writer = publisher(memory);
      expect(writer.index).toBe(count);
      const target = new Uint8Array(8);
      for (let i = 0; i < 6; i++) {
        send(writer, i);
        expect(reader.receive(target, 0)).toBe(true);
        expect([reader.index, target[0]]).toEqual([count + i, i]);
      }
      expect(reader.published).toBe(count + 6);
    },
  );

  test("a subscriber that slept for a whole turn of the sequence sees that by the index", () => {
    const memory = ring();
    const reader = subscriber(memory);
    after(2 ** 31, memory);
    send(publisher(memory), 1);
    expect(drain(reader)).toEqual([0, 1]);
    expect(reader.missed).toBe(2 ** 31 - 1);
  });
});

describe("hostile content", () => {
  const refuse = (reason: string): never => {
    throw new Error(reason);
  };

  test.each([
    ["slots", 0, 3],
    ["slots", 0, 1],
    ["slots", 0, 1 << 20],
    ["payload", 2, 1 << 30],
    ["payload", 3, 1],
    ["stride", 4, 100],
    ["stride", 5, 1],
    ["first", 6, 64],
    ["first", 7, 1 << 20],
  ])("a ring whose %s is damaged, word %d = %d, is refused", (_name, word, value) => {
    const { bytes } = ring();
    new Int32Array(bytes.buffer)[word] = value;
    expect(() => ringGeometry(bytes, refuse)).toThrow();
  });

  test("a message's length beyond its slot is clamped at each read", () => {
    const memory = ring();
    const [writer, reader] = [publisher(memory), subscriber(memory)];
    send(writer, 1);
    new Int32Array(memory.bytes.buffer)[memory.geometry.firstByteOffset / 4 + 1] = -1;
    const target = new Uint8Array(8);
    expect(reader.receive(target, 0)).toBe(true);
    expect(reader.length).toBe(8);
  });

  test("with any words in the ring calls end, and nothing outside the ring is touched", () => {
    let seed = 7;
    const random = (): number => {
      seed = (Math.imul(seed, 1103515245) + 12345) | 0;
      return seed;
    };
    for (let round = 0; round < 300; round++) {
      const memory = ring();
      const words = new Int32Array(memory.bytes.buffer);
      for (let i = 64 / 4; i < words.length; i++)
        if ((random() & 7) === 0) words[i] = random() >> (random() & 31);
      const reader = subscriber(memory, (["newest", "oldest", "next"] as const)[round % 3]!);
      const target = new Uint8Array(8);
      for (let i = 0; i < 20; i++) reader.receive(target, 0);
      const writer = publisher(memory);
      send(writer, 1, 2, 3);
    }
  });
});

describe("messages that are left out", () => {
  test("messages that are left out are missed, also where nothing was before, and the next one is received", () => {
    const memory = ring();
    const [writer, reader] = [publisher(memory), subscriber(memory)];
    writer.skipTo(2);
    expect(drain(reader)).toEqual([]);
    send(writer, 20);
    expect(drain(reader)).toEqual([20]);
    expect([reader.takeMissed(), reader.index]).toEqual([2, 2]);
    send(writer, 21);
    writer.skipTo(6);
    send(writer, 22);
    expect(drain(reader)).toEqual([21, 22]);
    expect([reader.takeMissed(), reader.index]).toEqual([2, 6]);
  });

  test("after more messages were left out than the ring or 2^32 holds, a subscriber begins at the oldest that is there", () => {
    const memory = ring();
    const [writer, reader] = [publisher(memory), subscriber(memory)];
    send(writer, 1);
    writer.skipTo(2 ** 32 + 7);
    send(writer, 2, 3);
    // Message 1 would have been there, but its slot is another one's now.
    expect(drain(reader)).toEqual([2, 3]);
    expect([reader.takeMissed(), reader.index]).toEqual([2 ** 32 + 7, 2 ** 32 + 8]);
    expect(drain(subscriber(memory, "oldest"))).toEqual([2, 3]);
    expect(drain(subscriber(memory, "newest"))).toEqual([3]);
  });

  test("a publisher that follows one killed after it left messages out leaves them out again", () => {
    const memory = ring();
    const writer = publisher(memory);
    send(writer, 1);
    writer.skipTo(9);
    const next = publisher(memory);
    expect(next.index).toBe(1);
    const reader = subscriber(memory, "oldest");
    next.skipTo(3);
    send(next, 4);
    expect(drain(reader)).toEqual([1, 4]);
    expect(reader.takeMissed()).toBe(2);
  });

  test("a message carries the time that another machine gave it", () => {
    const memory = ring();
    const [writer, reader] = [publisher(memory), subscriber(memory)];
    writer.loan();
    writer.sendAt(8, 3, 5, 6);
    expect(drain(reader)).toEqual([0]);
    expect([reader.timeLow, reader.timeHigh, reader.type]).toEqual([5, 6, 3]);
  });
});

describe("a damaged ring", () => {
  test("indices that no number holds exactly are no messages, and looking for the oldest ends", () => {
    for (const high of [0x20_0000, 0x20_0001, 0x7fff_ffff, 0xffff_ffff]) {
      for (let low = 0; low < 8; low++) {
        const memory = ring();
        const words = new Uint32Array(memory.bytes.buffer);
        const slot = (memory.geometry.firstByteOffset + ((low + 3) & 3) * memory.geometry.strideBytes) / 4;
        words.set([2 * low, 0, low - 1, high], slot);
        words[64 / 4] = low;
        for (const from of ["oldest", "newest", "next"] as const)
          expect([from, drain(subscriber(memory, from))]).toEqual([from, []]);
        send(publisher(memory), 5);
      }
    }
  });

  test("a cursor beyond what a number holds exactly finds its way back to the messages that are there", () => {
    const memory = ring();
    send(publisher(memory), 1, 2, 3);
    const reader = subscriber(memory);
    for (const cursor of [2 ** 53, 2 ** 53 + 2 ** 32, 2 ** 63]) {
      reader.cursor = cursor;
      expect(drain(reader)).toEqual([]);
    }
  });

  test("in a damaged ring every look for a message ends", () => {
    const random = randomFrom(11);
    const words = [0, 1, 2, 3, 7, 8, 9, 0x7fff_ffff, 0x8000_0000, 0xffff_fffe, 0xffff_ffff];
    for (let i = 0; i < 1500; i++) {
      const memory = ring();
      const [writer, reader] = [publisher(memory), subscriber(memory)];
      send(writer, 1, 2, 3, 4, 5, 6);
      const { firstByteOffset, strideBytes } = memory.geometry;
      const ints = new Uint32Array(memory.bytes.buffer);
      const places = [
        64,
        ...[0, 1, 2, 3].flatMap((n) => [0, 8, 12].map((at) => firstByteOffset + n * strideBytes + at)),
      ];
      for (let damages = 0; damages < 3; damages++) ints[random.pick(places) / 4] = random.pick(words);
      const target = new Uint8Array(8);
      for (let looks = 0; looks < 20; looks++) reader.receive(target, 0);
    }
  });
});
