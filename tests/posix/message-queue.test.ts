import { afterAll, afterEach, beforeAll, describe, expect, setDefaultTimeout, spyOn, test } from "bun:test";
import { fstatSync } from "node:fs";
import {
  BusyError,
  ClosedError,
  ExistentialError,
  MessageQueue,
  type MessageQueueOptions,
  O_CREAT,
  O_CREX,
  PermissionsError,
  QUEUE_MESSAGE_SIZE_MAX_DEFAULT,
  QUEUE_MESSAGES_MAX_DEFAULT,
  QUEUE_PRIORITY_MAX,
  unlinkMessageQueue,
} from "../../src/posix/index.ts";
import { queues } from "../../src/sys/libc/posix.ts";
import { isEmulated } from "../support/platform.ts";
import { descriptorsOf } from "../support/resources.ts";
import { thrownBy } from "../support/thrown.ts";
import { hasTool, linesOf } from "../support/tools.ts";
import { compilePeer, freshName, nextLine, startBun, unlinkNames } from "./support.ts";

// Children, threads and long loops take their time on a busy machine.
setDefaultTimeout(240_000);

afterEach(unlinkNames);

// Small on purpose: all queues of a user share RLIMIT_MSGQUEUE.
const create = (options: Partial<MessageQueueOptions> = {}) =>
  new MessageQueue({ name: freshName(), flags: O_CREX, maxMessages: 4, maxMessageSize: 64, ...options });
const text = (bytes: Uint8Array) => new TextDecoder().decode(bytes);
const receiveText = (queue: MessageQueue) => text(queue.receive({ timeoutMs: 0 })[0]);

describe("opening", () => {
  test("flags 0 opens a queue that exists and creates none", () => {
    const name = freshName();
    expect(() => new MessageQueue({ name })).toThrow(ExistentialError);
    using made = create({ name, flags: O_CREAT });
    using opened = new MessageQueue({ name });
    made.send("hello");
    expect(opened.currentMessages).toBe(1);
  });

  test("O_CREAT opens a queue that exists, whose limits stay", () => {
    using made = create();
    using opened = new MessageQueue({ name: made.name, flags: O_CREAT, maxMessages: 2, maxMessageSize: 8 });
    expect([opened.maxMessages, opened.maxMessageSize]).toEqual([4, 64]);
  });

  test("opening keeps no descriptor when the queue cannot be asked for its limits", () => {
    const name = freshName();
    const before = descriptorsOf(name);
    const ask = spyOn(queues(), "mq_getattr").mockImplementation((() => -1) as never);
    try {
      expect(() => create({ name })).toThrow(/^mq_getattr/);
      expect(descriptorsOf(name)).toBe(before);
    } finally {
      ask.mockRestore();
    }
  });

  test("O_CREX refuses a queue that exists", () => {
    using made = create();
    expect(thrownBy(() => create({ name: made.name }))).toMatchObject({
      name: "ExistentialError",
      code: "EEXIST",
      path: made.name,
    });
  });

  test("a queue made without limits has the system's defaults, and blocks", () => {
    using queue = new MessageQueue({ name: freshName(), flags: O_CREX });
    expect(queue.maxMessages).toBe(QUEUE_MESSAGES_MAX_DEFAULT);
    expect(queue.maxMessageSize).toBe(QUEUE_MESSAGE_SIZE_MAX_DEFAULT);
    expect(queue.block).toBe(true);
    expect(queue.currentMessages).toBe(0);
  });

  test("name null picks a random unused name for a queue", () => {
    using queue = new MessageQueue({ name: null, maxMessages: 1, maxMessageSize: 8 });
    expect(queue.name).toMatch(/^\/bun-[0-9a-f]{16}$/);
    queue.unlink();
  });

  test("read: false and write: false forbid their half to this handle only", async () => {
    using both = create();
    using reader = new MessageQueue({ name: both.name, write: false });
    using writer = new MessageQueue({ name: both.name, read: false });
    writer.send("in");
    expect(() => reader.send("no")).toThrow(PermissionsError);
    expect(() => writer.receive({ timeoutMs: 0 })).toThrow(PermissionsError);
    await expect(reader.sendAsync("no")).rejects.toThrow(PermissionsError);
    await expect(writer.receiveAsync()).rejects.toThrow(PermissionsError);
    expect(receiveText(reader)).toBe("in");
    both.send("both");
    expect(receiveText(both)).toBe("both");
    expect(() => new MessageQueue({ name: both.name, read: false, write: false })).toThrow(TypeError);
  });
});

describe("sending and receiving", () => {
  test("a message comes out as it went in, with its priority", () => {
    using queue = create();
    queue.send(new Uint8Array([1, 0, 255]), { priority: 7 });
    queue.send("grüße");
    queue.send(new Uint16Array([258]));
    queue.send(new ArrayBuffer(0));
    expect(queue.receive()).toEqual([new Uint8Array([1, 0, 255]), 7]);
    expect(receiveText(queue)).toBe("grüße");
    expect(queue.receive()).toEqual([new Uint8Array([2, 1]), 0]);
    expect(queue.receive()).toEqual([new Uint8Array(0), 0]);
  });

  test("the message of the highest priority is received first, and within one in the order of sending", () => {
    using queue = create();
    queue.send("low 1");
    queue.send("high", { priority: QUEUE_PRIORITY_MAX });
    queue.send("low 2", { priority: 0 });
    queue.send("middle", { priority: 1 });
    expect([1, 2, 3, 4].map(() => receiveText(queue))).toEqual(["high", "middle", "low 1", "low 2"]);
  });

  test("timeout 0 throws BusyError at once, and succeeds when nothing has to be waited for", () => {
    using queue = create({ maxMessages: 1 });
    queue.send("fits", { timeoutMs: 0 });
    expect(thrownBy(() => queue.send("too many", { timeoutMs: 0 }))).toMatchObject({
      name: "BusyError",
      code: "EAGAIN",
    });
    expect(text(queue.receive({ timeout: 0 })[0])).toBe("fits");
    expect(thrownBy(() => queue.receive({ timeout: 0 }))).toMatchObject({
      name: "BusyError",
      code: "EAGAIN",
    });
  });

  test("sending and receiving wait for a timeout above 0", () => {
    using queue = create({ maxMessages: 1 });
    const waits = [
      () => queue.receive({ timeoutMs: 30 }),
      () => {
        queue.send("fits");
        queue.send("too many", { timeoutMs: 30 });
      },
    ];
    for (const wait of waits) {
      const began = performance.now();
      expect(thrownBy(wait)).toMatchObject({ name: "BusyError", code: "ETIMEDOUT" });
      expect(performance.now() - began).toBeGreaterThanOrEqual(29);
    }
  });

  test("block = false throws BusyError instead of waiting, whatever the timeout", () => {
    using queue = create({ maxMessages: 1 });
    queue.block = false;
    expect(() => queue.receive()).toThrow(BusyError);
    expect(() => queue.receive({ timeoutMs: 60_000 })).toThrow(BusyError);
    queue.send("fits");
    expect(() => queue.send("too many")).toThrow(BusyError);
    queue.block = true;
    expect(receiveText(queue)).toBe("fits");
  });
});

describe("closing and unlinking", () => {
  test("use of a queue after close throws ClosedError, closing twice does nothing, the queue lives on", async () => {
    const queue = create();
    queue.send("stays");
    queue.close();
    queue.close();
    expect(queue.fd).toBe(-1);
    for (const use of [
      () => queue.send("x"),
      () => queue.receive(),
      () => queue.currentMessages,
      () => queue.requestNotification(),
    ]) {
      expect(use).toThrow(ClosedError);
    }
    await expect(queue.sendAsync("x")).rejects.toThrow(ClosedError);
    await expect(queue.receiveAsync()).rejects.toThrow(ClosedError);
    using again = new MessageQueue({ name: queue.name });
    expect(receiveText(again)).toBe("stays");
  });

  test("unlink leaves open handles of a queue working, and the name free for another one", () => {
    using old = create();
    old.send("old");
    old.unlink();
    using fresh = create({ name: old.name });
    expect(fresh.currentMessages).toBe(0);
    expect(receiveText(old)).toBe("old");
  });

  test("garbage collection closes no queue", async () => {
    const abandon = () => create().fd;
    const fd = abandon();
    Bun.gc(true);
    await Bun.sleep(1);
    Bun.gc(true);
    // Throws EBADF if it was closed. It is not closed here: the abandoned queue does that when its thread ends.
    fstatSync(fd);
  });

  test("unlinking a queue works after close, and a missing one is an ExistentialError", () => {
    const queue = create();
    queue.close();
    queue.unlink();
    expect(() => queue.unlink()).toThrow(ExistentialError);
    expect(() => unlinkMessageQueue(queue.name)).toThrow(ExistentialError);
  });
});

describe("bad input", () => {
  test("wrong names, limits, messages and priorities are refused", () => {
    const wrong = (options: object) => thrownBy(() => create(options));
    for (const name of ["no-slash", "/", "/a/b"]) expect(wrong({ name })).toBeInstanceOf(TypeError);
    expect(String(wrong({ name: `/${"x".repeat(256)}` }))).toContain("255");
    for (const maxMessages of [0, -1, 1.5]) expect(wrong({ maxMessages })).toBeInstanceOf(RangeError);
    for (const maxMessageSize of [0, -1, 1.5]) expect(wrong({ maxMessageSize })).toBeInstanceOf(RangeError);
    expect(wrong({ maxMessages: "10" })).toBeInstanceOf(TypeError);
    using queue = create();
    expect(() => queue.send("x".repeat(65))).toThrow(/65 bytes.*at most 64/);
    expect(() => queue.send("x", { priority: QUEUE_PRIORITY_MAX + 1 })).toThrow(String(QUEUE_PRIORITY_MAX));
    expect(() => queue.send("x", { priority: -1 })).toThrow(RangeError);
    expect(() => queue.send(5 as never)).toThrow(TypeError);
    expect(() => queue.send("a\ud800")).toThrow(/lone surrogate/);
    expect(() => queue.send(null as never)).toThrow(TypeError);
    expect(() => queue.receive({ timeoutMs: -1 })).toThrow(RangeError);
    expect(() => queue.receive(5 as never)).toThrow(TypeError);
    expect(queue.currentMessages).toBe(0);
  });

  test("limits above the system's are refused with that limit and what was asked", () => {
    const tooMany = thrownBy(() => create({ maxMessages: 1_000_000 }));
    expect(tooMany).toMatchObject({ name: "PosixError", code: "EINVAL" });
    expect(String(tooMany)).toMatch(/1000000 messages \(limit \d+, \/proc\/sys\/fs\/mqueue\/msg_max\)/);
    const tooLong = thrownBy(() => create({ maxMessageSize: 1 << 30 }));
    expect(String(tooLong)).toMatch(/1073741824 bytes \(limit \d+, \/proc\/sys\/fs\/mqueue\/msgsize_max\)/);
  });

  test.skipIf(!hasTool("prlimit"))(
    "an error tells of RLIMIT_MSGQUEUE when it is exceeded (needs prlimit)",
    async () => {
      const program = `${import.meta.dir}/../process/posix-limits.ts`;
      const child = Bun.spawn(["prlimit", "--msgqueue=20000", process.execPath, program], { stdout: "pipe" });
      expect(await child.stdout.text()).toMatch(/EMFILE .*20000 bytes \(RLIMIT_MSGQUEUE/);
    },
  );
});

describe("async forms", () => {
  test("receiveAsync waits while the event loop turns", async () => {
    using queue = create();
    let turns = 0;
    const ticking = setInterval(() => {
      turns += 1;
      if (turns === 10) queue.send("ten", { priority: 3 });
    }, 1);
    expect(await queue.receiveAsync()).toEqual([new TextEncoder().encode("ten"), 3]);
    clearInterval(ticking);
    expect(turns).toBeGreaterThanOrEqual(10);
  });

  test("sendAsync waits for room, sends in order, and copies what it was given", async () => {
    using queue = create({ maxMessages: 1 });
    const bytes = new Uint8Array([1]);
    const sent = [queue.sendAsync(bytes), queue.sendAsync(bytes), queue.sendAsync("3", { priority: 9 })];
    bytes[0] = 77;
    const received = [];
    for (let i = 0; i < 3; i++) received.push((await queue.receiveAsync())[0][0]);
    await Promise.all(sent);
    expect(received).toEqual([1, 1, 51]);
  });

  test("sending and receiving may wait on one handle at once", async () => {
    using queue = create({ maxMessages: 1 });
    using other = new MessageQueue({ name: queue.name });
    const received = [queue.receiveAsync(), queue.receiveAsync()];
    await Bun.sleep(5);
    await other.sendAsync("a");
    await other.sendAsync("b");
    expect((await Promise.all(received)).map(([message]) => text(message))).toEqual(["a", "b"]);
    other.send("full");
    const sent = queue.sendAsync("c");
    await Bun.sleep(5);
    expect(receiveText(other)).toBe("full");
    await sent;
    expect(receiveText(other)).toBe("c");
  });

  test("sendAsync and receiveAsync give up after timeoutMs with BusyError", async () => {
    using queue = create({ maxMessages: 1 });
    await expect(queue.receiveAsync({ timeoutMs: 10 })).rejects.toMatchObject({
      name: "BusyError",
      code: "ETIMEDOUT",
    });
    await expect(queue.receiveAsync({ timeoutMs: 0 })).rejects.toThrow(BusyError);
    queue.send("full");
    await expect(queue.sendAsync("x", { timeoutMs: 10 })).rejects.toThrow(BusyError);
    await expect(queue.sendAsync("x", { timeout: 0 })).rejects.toThrow(BusyError);
  });

  test("aborting sendAsync or receiveAsync rejects with the signal's reason; the message stays, or is not sent", async () => {
    using queue = create({ maxMessages: 1 });
    const controller = new AbortController();
    const receiving = queue.receiveAsync({ signal: controller.signal });
    controller.abort("enough");
    queue.send("stays");
    await expect(receiving).rejects.toBe("enough");
    const second = new AbortController();
    const sending = queue.sendAsync("never", { signal: second.signal });
    second.abort(new Error("no"));
    await expect(sending).rejects.toThrow("no");
    expect(receiveText(queue)).toBe("stays");
    await Bun.sleep(10);
    expect(queue.currentMessages).toBe(0);
  });

  test("three hundred messages against aborting receivers each arrive exactly once", async () => {
    using queue = create();
    using other = new MessageQueue({ name: queue.name });
    const count = 300;
    const received: string[] = [];
    const sending = (async () => {
      for (let i = 0; i < count; i++) {
        await other.sendAsync(String(i));
        if (i % 7 === 0) await Bun.sleep(0);
      }
    })();
    for (let round = 0; received.length < count; round++) {
      const controller = new AbortController();
      const delayed = setTimeout(() => controller.abort(), round % 3);
      await queue.receiveAsync({ signal: controller.signal }).then(
        ([message]) => received.push(text(message)),
        () => {},
      );
      clearTimeout(delayed);
    }
    await sending;
    expect(received).toEqual(Array.from({ length: count }, (_, i) => String(i)));
    expect(queue.currentMessages).toBe(0);
  });

  test("closing a queue rejects waiting calls with ClosedError", async () => {
    const queue = create({ maxMessages: 1 });
    const receiving = queue.receiveAsync();
    queue.close();
    await expect(receiving).rejects.toThrow(ClosedError);
    const full = new MessageQueue({ name: queue.name });
    full.send("full");
    const sending = full.sendAsync("x");
    full.close();
    await expect(sending).rejects.toThrow(ClosedError);
  });
});

describe("for await", () => {
  test("for await gives messages as they come and ends at close()", async () => {
    const queue = create();
    queue.send("first");
    const received: string[] = [];
    for await (const message of queue) {
      received.push(text(message));
      setTimeout(() => (received.length === 1 ? queue.send("second") : queue.close()), 5);
    }
    expect(received).toEqual(["first", "second"]);
    for await (const _ of queue) throw new Error("a closed queue has no messages");
  });

  test("break from for await takes nothing more from the queue and leaves no waiter", async () => {
    using queue = create();
    for (const message of ["a", "b", "c"]) queue.send(message);
    for await (const message of queue) if (text(message) === "b") break;
    expect(queue.currentMessages).toBe(1);
    expect(receiveText(queue)).toBe("c");
    queue.send("still there");
    await Bun.sleep(10);
    expect(queue.currentMessages).toBe(1);
  });

  test("entries() gives the priorities too, and ends by its signal", async () => {
    using queue = create();
    queue.send("x", { priority: 5 });
    const controller = new AbortController();
    const entries = queue.entries({ signal: controller.signal });
    const first = await entries.next();
    expect(first.value).toEqual([new TextEncoder().encode("x"), 5]);
    const second = entries.next();
    controller.abort(new Error("done"));
    await expect(second).rejects.toThrow("done");
    expect(await entries.next()).toEqual({ value: undefined, done: true });
  });
});

describe.skipIf(isEmulated)("requestNotification (not under emulation)", () => {
  /** Resolves when the callback is called; `times` counts. */
  function listener() {
    const { promise, resolve } = Promise.withResolvers<void>();
    const state = { times: 0, promise, callback: () => {} };
    state.callback = () => {
      state.times += 1;
      resolve();
    };
    return state;
  }

  test("requestNotification calls back once, when a message comes into the empty queue", async () => {
    using queue = create();
    const heard = listener();
    queue.requestNotification(heard.callback);
    queue.send("one");
    await heard.promise;
    queue.receive();
    queue.send("two");
    await Bun.sleep(20);
    expect(heard.times).toBe(1);
    expect(queue.currentMessages).toBe(1);
  });

  test("requestNotification does not call while the queue was not empty, and may be asked for again from the callback", async () => {
    using queue = create();
    queue.send("already here");
    const heard = listener();
    const { promise, resolve } = Promise.withResolvers<void>();
    queue.requestNotification(() => {
      heard.callback();
      queue.requestNotification(resolve);
    });
    queue.send("not the first");
    await Bun.sleep(20);
    expect(heard.times).toBe(0);
    queue.receive();
    queue.receive();
    queue.send("into the empty queue");
    await heard.promise;
    queue.receive();
    queue.send("again");
    await promise;
    expect(heard.times).toBe(1);
  });

  test("requestNotification(null), or without a target, takes the request back, more than once too", async () => {
    using queue = create();
    const heard = listener();
    queue.requestNotification(heard.callback);
    queue.requestNotification();
    queue.requestNotification(null);
    queue.send("unheard");
    await Bun.sleep(20);
    expect(heard.times).toBe(0);
    queue.receive();
    // A cancelled cookie that is still on its way belongs to no later request.
    queue.requestNotification(heard.callback);
    queue.send("heard");
    await heard.promise;
    expect(heard.times).toBe(1);
  });

  test("requestNotification sends a signal, by number or name, once per request", async () => {
    using queue = create();
    const heard = listener();
    process.on("SIGUSR2", heard.callback);
    queue.requestNotification("SIGUSR2");
    queue.send("one");
    await heard.promise;
    queue.receive();
    queue.send("two");
    await Bun.sleep(20);
    expect(heard.times).toBe(1);
    queue.receive();
    queue.requestNotification(12);
    queue.requestNotification();
    queue.send("cancelled");
    await Bun.sleep(20);
    process.off("SIGUSR2", heard.callback);
    expect(heard.times).toBe(1);
  });

  test("a second request for notification is refused, from this process and from another; the first one stands", async () => {
    using queue = create();
    const heard = listener();
    queue.requestNotification(heard.callback);
    expect(thrownBy(() => queue.requestNotification(() => {}))).toMatchObject({
      name: "BusyError",
      code: "EBUSY",
    });
    const other = startBun("posix-notified.ts", queue.name, "callback");
    expect(await nextLine(linesOf(other.stdout))).toBe("busy");
    expect(await other.exited).toBe(0);
    queue.send("for the first");
    await heard.promise;
  });

  test("waiting receivers do not end the request for notification, and the message reaches both", async () => {
    using queue = create();
    const heard = listener();
    queue.requestNotification(heard.callback);
    await expect(queue.receiveAsync({ timeoutMs: 10 })).rejects.toThrow(BusyError);
    const receiving = queue.receiveAsync();
    queue.send("both");
    await heard.promise;
    expect(text((await receiving)[0])).toBe("both");
  });

  test("closing any handle of this process on the queue takes the request for notification back: the kernel's rule", async () => {
    using queue = create();
    const heard = listener();
    queue.requestNotification(heard.callback);
    new MessageQueue({ name: queue.name }).close();
    queue.send("unheard");
    await Bun.sleep(20);
    expect(heard.times).toBe(0);
    queue.receive();
    queue.requestNotification(heard.callback);
    queue.send("heard");
    await heard.promise;
  });

  test("requestNotification refuses what is not a target", () => {
    using queue = create();
    for (const target of [0, 65, 1.5]) expect(() => queue.requestNotification(target)).toThrow(RangeError);
    for (const target of ["SIGNOPE", {}, true]) {
      expect(() => queue.requestNotification(target as never)).toThrow(TypeError);
    }
  });

  test.each(["callback", "signal"])(
    "a queue notifies another process by %s, which stays alive for it",
    async (how) => {
      using queue = create();
      const other = startBun("posix-notified.ts", queue.name, how);
      const lines = linesOf(other.stdout);
      expect(await nextLine(lines)).toBe("asked");
      queue.send("wake up");
      expect(await nextLine(lines)).toBe("notified");
      expect(await other.exited).toBe(0);
    },
  );

  test("a cancelled request for notification keeps no process alive", async () => {
    using queue = create();
    const other = startBun("posix-notified.ts", queue.name, "cancel");
    expect(await other.exited).toBe(0);
  });
});

describe("other processes", () => {
  test.each(["receive", "send"])(
    "SIGINT ends a blocking %s and its JavaScript handler runs",
    async (what) => {
      using queue = create({ maxMessages: 1 });
      if (what === "send") queue.send("full");
      const waiter = startBun("posix-waiter.ts", what, queue.name, "handler");
      const lines = linesOf(waiter.stdout);
      expect(await nextLine(lines)).toBe("waiting");
      // Again and again, as the first may come before the wait has begun.
      const signals = setInterval(() => waiter.kill("SIGINT"), 100);
      expect(await nextLine(lines)).toBe("SignalError");
      expect(await nextLine(lines)).toBe("handler");
      clearInterval(signals);
      expect(await waiter.exited).toBe(7);
      expect(queue.currentMessages).toBe(what === "send" ? 1 : 0);
    },
  );

  test("a process that waits for a message goes on when another one sends", async () => {
    using queue = create();
    const waiter = startBun("posix-waiter.ts", "receive", queue.name);
    const lines = linesOf(waiter.stdout);
    expect(await nextLine(lines)).toBe("waiting");
    queue.send("here");
    expect(await nextLine(lines)).toBe("got it");
  });
});

describe.skipIf(!hasTool("gcc"))("with a C program (needs gcc)", () => {
  let peer: ReturnType<typeof compilePeer>;
  // Not here: the body of a block that is skipped runs as well.
  beforeAll(() => {
    peer = compilePeer();
  });
  afterAll(() => peer.remove());

  test("a C program sees our limits and messages, and receives by priority", () => {
    using queue = create();
    queue.send("low");
    queue.send("high", { priority: 31 });
    expect(peer.run("mq-attributes", queue.name)).toBe("4 64 2");
    expect(peer.run("mq-receive", queue.name, "10")).toBe("31 high");
    expect(peer.run("mq-receive", queue.name, "10")).toBe("0 low");
  });

  test("we open a queue that C created and receive what C sent", async () => {
    const name = freshName();
    peer.run("mq-create", name, "3", "32");
    using queue = new MessageQueue({ name });
    expect([queue.maxMessages, queue.maxMessageSize]).toEqual([3, 32]);
    peer.run("mq-send", name, "from C", "9");
    expect(queue.receive()).toEqual([new TextEncoder().encode("from C"), 9]);
    const receiving = queue.receiveAsync({ timeoutMs: 30_000 });
    peer.start("mq-send", name, "later", "1");
    expect(text((await receiving)[0])).toBe("later");
  });

  test("a C program waits for our message", async () => {
    using queue = create();
    const waiter = peer.start("mq-receive", queue.name, "30");
    queue.send("for C", { priority: 2 });
    expect((await waiter.stdout.text()).trim()).toBe("2 for C");
  });
});

test("wrong options of a queue are TypeErrors that name them", async () => {
  const open = (options?: unknown) => () => new MessageQueue(options as MessageQueueOptions);
  expect(open()).toThrow(/^new MessageQueue: expected options/);
  expect(open({ name: freshName(), flags: O_CREX, max_messages: 5 })).toThrow(/no option "max_messages"/);
  using queue = new MessageQueue({ name: freshName(), flags: O_CREX });
  expect(() => queue.send("a", 5 as never)).toThrow(/^send: expected options/);
  expect(() => queue.receive({ timeoutms: 0 } as object)).toThrow(/^receive: there is no option/);
  await expect(queue.sendAsync("a", { prio: 1 } as object)).rejects.toThrow(/^sendAsync: there is no/);
  await expect(queue.receiveAsync(AbortSignal.timeout(1) as never)).rejects.toThrow(/^receiveAsync: exp/);
  await expect(queue.entries({ timeoutMs: 1 } as object).next()).rejects.toThrow(/^entries: there is no/);
  expect(queue.currentMessages).toBe(0);
});

test("properties of a queue cannot be stored to; block takes booleans only", () => {
  using queue = new MessageQueue({ name: freshName(), flags: O_CREX, maxMessages: 2, maxMessageSize: 64 });
  for (const [member, value] of Object.entries({
    name: "/x",
    maxMessages: 1,
    maxMessageSize: 1e9,
    block: "x",
  }))
    expect(() => Object.assign(queue, { [member]: value })).toThrow(TypeError);
  expect([queue.maxMessages, queue.maxMessageSize, queue.block]).toEqual([2, 64, true]);
  expect(() => Object.assign(queue, { block: undefined })).toThrow("block must be a boolean, not undefined");
});

test("console.log shows a queue on one line: what it is, and whether it is closed", () => {
  const queue = new MessageQueue({ name: freshName(), flags: O_CREX, maxMessages: 2, maxMessageSize: 64 });
  expect(Bun.inspect(queue)).toBe(`MessageQueue '${queue.name}', 2 messages of 64 bytes`);
  queue.close();
  expect(Bun.inspect(queue)).toMatch(/64 bytes \(closed\)$/);
});
