/** What may happen to the files of channels and queues while they are in use: the rows that both share. */
import { describe, expect, test } from "bun:test";
import { existsSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { Publisher, Subscriber } from "../../src/channel/index.ts";
import { FileFormatError, FileMissingError } from "../../src/errors/errors.ts";
import { Queue } from "../../src/queue/index.ts";
import { temporaryDirectory } from "../support/temporary.ts";

/** An end of a stream of numbers. */
interface End extends Disposable {
  readonly path: string;
  close(): void;
}

interface Producer extends End {
  put(value: number): void;
  remove(): void;
}

interface Consumer extends End {
  /** The next number; undefined when there is none. */
  get(): number | undefined;
}

interface StreamUnderTest {
  readonly name: string;
  readonly file: string;
  /** Files that stay when the stream is removed. */
  readonly sideFiles: readonly string[];
  create(dir: string, options?: { readonly force?: boolean; readonly tag?: string }): Producer;
  open(dir: string): Consumer;
}

const bytesOf = (value: number): Uint8Array => Uint8Array.of(value, value >> 8);
const numberIn = (bytes: Uint8Array): number => bytes[0]! | (bytes[1]! << 8);

const channel: StreamUnderTest = {
  name: "channel",
  file: "Bytes_.channel",
  sideFiles: ["Bytes_.channel.lock", "Bytes_.channel.lock-page"],
  create(dir, options = {}) {
    const publisher = new Publisher(Uint8Array, {
      dir,
      create: true,
      slots: 16,
      payloadBytes: 2,
      ...options,
    });
    return Object.assign(publisher, { put: (value: number) => publisher.send(bytesOf(value)) });
  },
  open(dir) {
    const subscriber = new Subscriber(Uint8Array, { dir, from: "oldest" });
    const get = (): number | undefined => {
      const message = subscriber.receive();
      return message && numberIn(message.data);
    };
    return Object.assign(subscriber, { get });
  },
};

const queue: StreamUnderTest = {
  name: "queue",
  file: "Bytes_.queue",
  sideFiles: ["Bytes_.queue.lock", "Bytes_.queue.lock-page", "Bytes_.queue.owners"],
  create(dir, options = {}) {
    const jobs = new Queue(Uint8Array, { dir, create: true, slots: 16, payloadBytes: 2, ...options });
    return Object.assign(jobs, { put: (value: number) => jobs.push(bytesOf(value)) });
  },
  open(dir) {
    const jobs = new Queue(Uint8Array, { dir });
    const get = (): number | undefined => {
      using job = jobs.tryTake();
      if (job === undefined) return undefined;
      const value = numberIn(job.data);
      job.done();
      return value;
    };
    return Object.assign(jobs, { get });
  },
};

function drain(consumer: Consumer): number[] {
  const values: number[] = [];
  for (let value = consumer.get(); value !== undefined; value = consumer.get()) values.push(value);
  return values;
}

describe.each([channel, queue])("$name", (stream) => {
  test("what is put into a stream comes out once, in order, across many turns of the slots", () => {
    using dir = temporaryDirectory();
    using producer = stream.create(dir.path);
    using consumer = stream.open(dir.path);
    for (let turn = 0; turn < 500; turn++) {
      for (let i = 0; i < 7; i++) producer.put(turn * 7 + i);
      expect(drain(consumer)).toEqual([0, 1, 2, 3, 4, 5, 6].map((i) => turn * 7 + i));
    }
  });

  test("after force recreated the file consumers go on with the new file", () => {
    using dir = temporaryDirectory();
    const first = stream.create(dir.path);
    using consumer = stream.open(dir.path);
    first.put(1);
    expect(drain(consumer)).toEqual([1]);
    first.close();
    using second = stream.create(dir.path, { force: true });
    second.put(2);
    expect(drain(consumer)).toEqual([2]);
    expect(readdirSync(dir.path).sort()).toEqual([stream.file, ...stream.sideFiles].sort());
  });

  test("after the file was replaced by mv consumers find the other file when they look", async () => {
    using dir = temporaryDirectory();
    using elsewhere = temporaryDirectory();
    const producer = stream.create(dir.path);
    using consumer = stream.open(dir.path);
    producer.put(1);
    expect(drain(consumer)).toEqual([1]);
    producer.close();
    const other = stream.create(elsewhere.path);
    other.put(9);
    const { path } = other;
    other.close();
    renameSync(path, join(dir.path, stream.file));
    using later = stream.open(dir.path);
    expect(later.get()).toBe(9);
  });

  test("remove() leaves only the lock's files, and the next life begins empty", () => {
    using dir = temporaryDirectory();
    const producer = stream.create(dir.path);
    producer.put(1);
    producer.remove();
    expect(readdirSync(dir.path).sort()).toEqual([...stream.sideFiles].sort());
    expect(() => stream.open(dir.path)).toThrow(FileMissingError);
    using next = stream.create(dir.path);
    using consumer = stream.open(dir.path);
    expect(drain(consumer)).toEqual([]);
    next.put(2);
    expect(drain(consumer)).toEqual([2]);
  });

  test("an empty, a foreign and another content's file in the place of ours are refused and stay", () => {
    using dir = temporaryDirectory();
    const path = join(dir.path, stream.file);
    for (const content of ["not a shared file, but long enough to be one".repeat(50), "x", ""]) {
      writeFileSync(path, content);
      expect(() => stream.open(dir.path)).toThrow(FileFormatError);
      expect(() => stream.create(dir.path)).toThrow(FileFormatError);
      expect(() => stream.create(dir.path, { force: true })).toThrow(FileFormatError);
      expect(readFileSync(path, "utf8")).toBe(content);
    }
    rmSync(path);
    const other = stream === channel ? queue : channel;
    const foreign = other.create(dir.path);
    foreign.close();
    renameSync(foreign.path, path);
    expect(() => stream.open(dir.path)).toThrow(/holds a/);
    expect(existsSync(path)).toBe(true);
  });

  test("a stream with any bit of the footer flipped is refused when it is opened", () => {
    using dir = temporaryDirectory();
    const producer = stream.create(dir.path);
    producer.put(3);
    producer.close();
    const whole = readFileSync(producer.path);
    for (let bit = 0; bit < 96 * 8; bit += 5) {
      const damaged = Buffer.from(whole);
      damaged[damaged.length - 128 + (bit >> 3)]! ^= 1 << (bit & 7);
      writeFileSync(producer.path, damaged);
      expect(() => stream.open(dir.path).close()).toThrow();
    }
    writeFileSync(producer.path, whole);
    using consumer = stream.open(dir.path);
    expect(consumer.get()).toBe(3);
  });
});
