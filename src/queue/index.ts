/** QUEUES: jobs for workers in any process, none of which is lost. */
import "../sys/bytes-backend.ts";
import "../sys/futex-backend.ts";
import "../sys/reflect-metadata.ts";

export type { Message, MessageInit, PayloadClass, SlotsOptions, SlotsPlace } from "../segment/payload.ts";
export { type FailOptions, Job } from "./job.ts";
export type {
  OpenQueueOptions,
  PushAsyncOptions,
  PushOptions,
  PushWaitOptions,
  QueueOptions,
  ResizeOptions,
  TakeAsyncOptions,
  TakeOptions,
} from "./options.ts";
export type { OwnerInfo } from "./owners.ts";
export { Queue, type QueueInfo } from "./queue.ts";
export type { SlotCounts } from "./slots.ts";
