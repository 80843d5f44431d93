import { afterAll, afterEach, beforeAll, describe, expect, setDefaultTimeout, test } from "bun:test";
import { MessageFormatError, MessageQueue, O_CREX } from "../../src/posix/index.ts";
import { array, c_double, c_int32, create, field, Struct } from "../../src/struct/index.ts";
import { thrownBy } from "../support/thrown.ts";
import { hasTool } from "../support/tools.ts";
import { compilePeer, freshName, unlinkNames } from "./support.ts";

// Children, threads and long loops take their time on a busy machine.
setDefaultTimeout(240_000);

afterEach(unlinkNames);

class Point extends Struct {
  @field(c_double) x!: number;
  @field(c_int32) n!: number;
  get doubled() {
    return this.x * 2;
  }
}

class Other extends Struct {
  @field(c_double) x!: number;
}

const points = () => new MessageQueue({ name: freshName(), flags: O_CREX, maxMessages: 4, message: Point });

describe("typed messages", () => {
  test("structs and plain objects are sent as messages, structs in memory of their own are received", () => {
    using queue = points();
    expect(queue.maxMessageSize).toBe(16);
    const point = create(Point, { x: 1.5, n: 2 });
    queue.send(point, { priority: 3 });
    queue.send({ x: 4 });
    const [first, priority] = queue.receive();
    const [second] = queue.receive();
    expect([first.x, first.n, first.doubled, priority]).toEqual([1.5, 2, 3, 3]);
    expect([second.x, second.n]).toEqual([4, 0]);
    expect(first).toBeInstanceOf(Point);
    first.x = 9;
    expect([point.x, second.x]).toEqual([1.5, 4]);
  });

  test("the asynchronous forms and for await give structs too", async () => {
    using queue = points();
    await queue.sendAsync({ n: 1 });
    await queue.sendAsync({ n: 2 });
    expect((await queue.receiveAsync())[0].n).toBe(1);
    for await (const point of queue) {
      expect(point.n).toBe(2);
      break;
    }
  });

  test("a value that does not fit the class is refused before it is sent", () => {
    using queue = points();
    expect(() => queue.send({ x: "1" as never })).toThrow(TypeError);
    expect(() => queue.send(create(Other) as never)).toThrow(/Point.*Other/);
    expect(() => queue.send("text" as never)).toThrow(TypeError);
    expect(queue.currentMessages).toBe(0);
  });

  test("a received message of another size is an error that has the message", () => {
    using queue = points();
    using raw = new MessageQueue({ name: queue.name });
    raw.send("short", { priority: 2 });
    const error = thrownBy(() => queue.receive()) as MessageFormatError;
    expect(error).toBeInstanceOf(MessageFormatError);
    expect(new TextDecoder().decode(error.bytes)).toBe("short");
    expect([error.priority, error.code]).toEqual([2, "MESSAGE_FORMAT"]);
    expect(String(error)).toContain("5 bytes, a Point has 16");
  });

  test("a struct with a flexible array at its end takes messages of any length from its own on", () => {
    class Track extends Struct {
      @field(c_int32) count!: number;
      @field(array(c_int32)) values!: Int32Array;
    }
    const name = freshName();
    using queue = new MessageQueue({
      name,
      flags: O_CREX,
      maxMessages: 2,
      maxMessageSize: 64,
      message: Track,
    });
    using raw = new MessageQueue({ name });
    raw.send(new Int32Array([2, 10, 20]));
    const [track] = queue.receive();
    expect([track.count, ...track.values]).toEqual([2, 10, 20]);
  });

  test("a queue that is too narrow for the class is refused", () => {
    const narrow = { name: freshName(), flags: O_CREX, maxMessages: 1, maxMessageSize: 8, message: Point };
    expect(() => new MessageQueue(narrow)).toThrow(/maxMessageSize .*16/);
    using bytes = new MessageQueue({ ...narrow, message: undefined });
    expect(() => new MessageQueue({ name: bytes.name, message: Point })).toThrow(/Point.*16.*8/);
  });
});

describe.skipIf(!hasTool("gcc"))("with a C program (needs gcc)", () => {
  let peer: ReturnType<typeof compilePeer>;
  // Not here: the body of a block that is skipped runs as well.
  beforeAll(() => {
    peer = compilePeer();
  });
  afterAll(() => peer.remove());

  test("a struct that C sends arrives as the class", () => {
    using queue = points();
    peer.run("mq-struct", queue.name);
    const [point] = queue.receive();
    expect([point.x, point.n]).toEqual([1.5, 7]);
  });
});
