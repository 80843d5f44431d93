/** MIRROR: a segment of one machine, followed on others through NATS JetStream. */
import "../sys/bytes-backend.ts";
import "../sys/futex-backend.ts";
import "../sys/reflect-metadata.ts";
import { checkOptions } from "../errors/check-options.ts";
import { TRUST_OPTIONS } from "../sys/trust.ts";
import { type FollowOptions, MirrorFollower } from "./follower.ts";
import { connectNats, type NatsOptions } from "./nats.ts";
import { MirrorPublisher, type PublishOptions } from "./publisher.ts";

export type { FollowerInfo, FollowOptions, MirrorFollower } from "./follower.ts";
export type { NatsOptions } from "./nats.ts";
export type { MirrorPublisher, PublisherInfo, PublishOptions } from "./publisher.ts";

const COMMON = {
  servers: "any",
  bucket: "string",
  key: "string",
  connection: "object",
  replicas: "number",
  maxBytes: "number",
  ...TRUST_OPTIONS,
} as const;

/**
 * Segments on several machines. One machine publishes a file, others follow it: each has a local file that its readers open
 * as ever. Needs @nats-io/transport-node, @nats-io/jetstream and @nats-io/kv, and a nats-server with JetStream.
 */
export const Mirror = {
  /**
   * Publishes a record or a document: each state that it has when the one before has arrived. A key has one publisher at a
   * time; who is cut off for longer than the lease may be replaced, and is told so.
   * @throws MirrorError when another process publishes the key, for channels and queues, and without the packages;
   *   FileFormatError, SystemError for the file; what the connection throws
   * @example await using publisher = await Mirror.publish("./.mmap/Robot_.mmap", { servers: "nats://10.0.0.1", bucket: "robots", key: "arm" });
   */
  async publish(path: string, options: PublishOptions & NatsOptions): Promise<MirrorPublisher> {
    checkOptions(
      "Mirror.publish",
      options,
      { ...COMMON, maxHz: "number", leaseMs: "number", waitMs: "number" },
      true,
    );
    return MirrorPublisher.start(path, await connectNats(options), options);
  },

  /**
   * Follows a key: makes the local file and keeps it, as a transaction under its lock, so that readers have `snapshot()`,
   * `changes()` and `version` as on the origin. No program should write the local file.
   * @throws MirrorError without the packages; what the connection throws
   * @example
   * await using follower = await Mirror.follow("./.mmap/Robot_.mmap", { servers: "nats://10.0.0.1", bucket: "robots", key: "arm" });
   * await follower.ready({ timeoutMs: 5000 });
   */
  async follow(path: string, options: FollowOptions & NatsOptions): Promise<MirrorFollower> {
    checkOptions("Mirror.follow", options, { ...COMMON, mode: "number" }, true);
    return new MirrorFollower(path, await connectNats(options), options);
  },
} as const;
