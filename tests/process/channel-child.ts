/** The other end of a channel: bun channel-child.ts DIR publish | count N | sleep | some | one */
import { statSync } from "node:fs";
import { Publisher, Subscriber } from "../../src/channel/index.ts";
import { Price } from "../channel/structs.ts";
import { MARK } from "../support/system-calls.ts";

const [dir, what, count = "0"] = process.argv.slice(2);

/** Publishes without end. */
async function publish(): Promise<void> {
  using publisher = new Publisher(Price, { dir, create: true });
  for (let id = 0; ; id++) {
    publisher.send({ id, price: id / 2 });
    if (id === 10) console.log("ready");
    if (id % 100 === 0) await Bun.sleep(1);
  }
}

/** Receives until the message with the last number. */
function receiveAll(): void {
  using subscriber = new Subscriber(Price, { dir, from: "next" });
  console.log("ready");
  let [got, missed, wrong] = [0, 0, 0];
  for (let last = -1; last < Number(count) - 1; ) {
    const message = subscriber.receive({ timeoutMs: 60_000 });
    if (message === undefined) break;
    got++;
    missed += message.missed;
    if (message.data.id !== message.index || message.data.price !== message.index / 2) wrong++;
    last = message.index;
  }
  console.log(JSON.stringify({ got, missed, wrong }));
}

function sleep(): void {
  using subscriber = new Subscriber(Price, { dir, from: "next" });
  console.log("ready");
  console.log(subscriber.receive({ timeoutMs: 60_000 })?.data.id);
}

/** Publishes five messages, when it is this one's turn. */
function publishSome(): void {
  using publisher = new Publisher(Price, { dir, create: true, slots: 64, waitMs: 60_000 });
  for (let i = 0; i < 5; i++) publisher.send({ id: publisher.index, price: publisher.index / 2 });
}

/** Publishes one message, between the marks that a tracer looks for. */
function publishOne(): void {
  using publisher = new Publisher(Price, { dir, waitMs: 60_000 });
  statSync(MARK.begin, { throwIfNoEntry: false });
  publisher.send({ id: 5 });
  statSync(MARK.end, { throwIfNoEntry: false });
}

if (what === "some") publishSome();
else if (what === "one") publishOne();
else if (what === "publish") await publish();
else if (what === "count") receiveAll();
else sleep();
