/** CHANNELS: a stream of typed messages from one publisher to any number of subscribers. */
import "../sys/bytes-backend.ts";
import "../sys/futex-backend.ts";
import "../sys/reflect-metadata.ts";

export type {
  Message as MessageData,
  MessageInit,
  PayloadClass,
  SlotsOptions,
  SlotsPlace as ChannelPlace,
} from "../segment/payload.ts";
export { Loan, Publisher, type PublisherOptions, type SendOptions } from "./publisher.ts";
export type { From } from "./ring.ts";
export {
  type Message,
  type MessageInfo,
  type MessagesOptions,
  type OpenSubscriberOptions,
  type ReceiveAsyncOptions,
  type ReceiveOptions,
  Subscriber,
  type SubscriberOptions,
} from "./subscriber.ts";
