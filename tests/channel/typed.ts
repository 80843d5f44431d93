/** What the compiler must accept and reject: this file only has to compile (`bun run check`). */
import { type Message, Publisher, Subscriber } from "../../src/channel/index.ts";
import { Queue } from "../../src/queue/index.ts";
import { Price } from "./structs.ts";

export function typed(prices: Publisher<Price>, bytes: Publisher<Uint8Array>): void {
  prices.send({ id: 1 });
  prices.send((data) => {
    data.id = 2;
  });
  bytes.send(new Uint8Array(3));
  bytes.send((data) => data.length);
  // @ts-expect-error there is no such member
  prices.send({ ident: 1 });
  // @ts-expect-error a number, not a text
  prices.send({ id: "1" });
  // @ts-expect-error bytes are a Uint8Array
  bytes.send({ id: 1 });
}

export function received(subscriber: Subscriber<Price>): number {
  const message: Message<Price> | undefined = subscriber.receive();
  subscriber.peek((view) => {
    // @ts-expect-error what is shown in place is read-only
    view.id = 3;
  });
  return message?.data.id ?? 0;
}

export function inferred(): void {
  const jobs = new Queue(Price, { create: true });
  jobs.push({ price: 2 });
  // @ts-expect-error there is no such member
  jobs.push({ cost: 2 });
  const price: number | undefined = jobs.take()?.data.price;
  const raw: Uint8Array | undefined = new Subscriber(Uint8Array).receive()?.data;
  void [price, raw, new Publisher(Uint8Array, { payloadBytes: 8 })];
}
