/** QUEUES: jobs for workers in any process, none of which is lost. */
import "../sys/bytes-backend.ts";
import "../sys/futex-backend.ts";
import "../sys/reflect-metadata.ts";

export type { Message, MessageInit, PayloadClass } from "../segment/payload.ts";
export { type FailOptions, Job } from "./job.ts";
export {
  type OpenQueueOptions,
  type OwnerInfo,
  type PushAsyncOptions,
  type PushOptions,
  type PushWaitOptions,
  Queue,
  type QueueInfo,
  type QueueOptions,
  type ResizeOptions,
  type TakeAsyncOptions,
  type TakeOptions,
} from "./queue.ts";
export type { SlotCounts } from "./slots.ts";
