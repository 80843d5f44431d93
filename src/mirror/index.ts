/** MIRROR: a segment of one machine, followed on others through NATS JetStream. */
import "../sys/bytes-backend.ts";
import "../sys/futex-backend.ts";
import "../sys/reflect-metadata.ts";
import { checkOptions } from "../errors/check-options.ts";
import { TRUST_OPTIONS } from "../sys/trust.ts";
import { type FollowOptions, MirrorFollower } from "./follower.ts";
import { connectNats, type NatsOptions } from "./nats.ts";
import { beginNats } from "./pending.ts";
import { MirrorPublisher, type PublishOptions } from "./publisher.ts";

export type { FollowerInfo, FollowOptions, MirrorFollower } from "./follower.ts";
export type { NatsCredentials, NatsOptions, NatsTls, ServerWait } from "./nats.ts";
export type { FencedFile } from "./place.ts";
export type { MirrorPublisher, PublisherInfo, PublishOptions } from "./publisher.ts";

const COMMON = {
  servers: "any",
  bucket: "string",
  key: "string",
  credentials: "object",
  tls: "object",
  connection: "object",
  replicas: "number",
  serverWaitMs: "number",
  onWait: "function",
  maxBytes: "number",
  ...TRUST_OPTIONS,
} as const;
const PUBLISHING = {
  maxHz: "number",
  spinMs: "number",
  leaseMs: "number",
  waitMs: "number",
  timeoutMs: "number",
} as const;
const CREDENTIALS = {
  credsFile: "string",
  nkeyFile: "string",
  user: "string",
  password: "string",
  token: "string",
} as const;
const TLS = { caFile: "string", certFile: "string", keyFile: "string" } as const;

/** The least that each number may be, and whether it must be whole. */
const NUMBERS: Readonly<Record<string, { readonly least: number; readonly isWhole?: boolean }>> = {
  replicas: { least: 1, isWhole: true },
  maxBytes: { least: 1, isWhole: true },
  prefetch: { least: 1, isWhole: true },
  leaseMs: { least: 1, isWhole: true },
  ackWaitMs: { least: 1, isWhole: true },
  maxHz: { least: Number.MIN_VALUE },
  serverWaitMs: { least: 0 },
  waitMs: { least: 0 },
  timeoutMs: { least: 0 },
  spinMs: { least: 0 },
};

/** @throws TypeError for NaN; RangeError for a number out of its range */
function checkNumbers(where: string, options: Readonly<Record<string, unknown>>): void {
  for (const [name, { least, isWhole = false }] of Object.entries(NUMBERS)) {
    const value = options[name] as number | undefined;
    if (value === undefined) continue;
    if (Number.isNaN(value)) throw new TypeError(`${where}: option ${name} must be a number, not NaN`);
    if (value >= least && (!isWhole || Number.isSafeInteger(value))) continue;
    const most = least === Number.MIN_VALUE ? "above 0" : `from ${least} on`;
    throw new RangeError(
      `${where}: option ${name} must be a ${isWhole ? "whole " : ""}number ${most}, not ${value}`,
    );
  }
}

function checkConnection(where: string, { credentials, tls }: NatsOptions): void {
  checkOptions(`${where}: option credentials`, credentials, CREDENTIALS);
  checkOptions(`${where}: option tls`, tls, TLS);
}

/**
 * Segments on several machines. One machine publishes a file, others follow it: each has a local file that its readers open
 * as ever. Needs @nats-io/transport-node, @nats-io/jetstream and @nats-io/kv, and a nats-server with JetStream.
 */
export const Mirror = {
  /**
   * Publishes a file: of a record or document each state that it has when the one before has arrived; of a channel each message;
   * of a queue each job, which is done here once the server has it. A key has one publisher at a time; who is cut off for longer
   * than the lease may be replaced, and is told so. What the file has is in the bucket when the promise resolves.
   * A server that is not there is waited for: `onWait` tells, `serverWaitMs` ends that.
   * @throws MirrorError when another process publishes the key, for a content that is too large, without the packages, and when
   *   no server came within `serverWaitMs`; LockTimeoutError after `timeoutMs`; FileFormatError, SystemError for the file;
   *   TypeError, RangeError for the options; what the connection throws
   * @example await using publisher = await Mirror.publish("./.mmap/Robot_.mmap", { servers: "nats://10.0.0.1", bucket: "robots", key: "arm" });
   */
  async publish(path: string, options: PublishOptions & NatsOptions): Promise<MirrorPublisher> {
    checkOptions("Mirror.publish", options, { ...COMMON, ...PUBLISHING }, true);
    checkNumbers("Mirror.publish", { ...options });
    checkConnection("Mirror.publish", options);
    return MirrorPublisher.start(path, await connectNats(options), options);
  },

  /**
   * Follows a key: makes the local file and keeps it, so that readers have `snapshot()`, `changes()` and `version`, and
   * subscribers the messages, as on the origin; of a queue it takes jobs for the workers of this machine. No other program
   * should write a local record, document or channel that follows. Resolves also where no server is there yet, unless
   * `serverWaitMs` is given: `info().disconnectedSince` and `problem` say so.
   * @throws MirrorError without the packages, and when no server came within `serverWaitMs`; TypeError, RangeError for the
   *   options; what the connection throws
   * @example
   * await using follower = await Mirror.follow("./.mmap/Robot_.mmap", { servers: "nats://10.0.0.1", bucket: "robots", key: "arm" });
   * await follower.ready({ timeoutMs: 5000 });
   */
  async follow(path: string, options: FollowOptions & NatsOptions): Promise<MirrorFollower> {
    const own = { mode: "number", ackWaitMs: "number", prefetch: "number", onChange: "function" } as const;
    checkOptions("Mirror.follow", options, { ...COMMON, ...own }, true);
    checkNumbers("Mirror.follow", { ...options });
    checkConnection("Mirror.follow", options);
    const { serverWaitMs } = options;
    const transport = await (serverWaitMs === undefined ? beginNats(options) : connectNats(options));
    return new MirrorFollower(path, transport, options);
  },
} as const;
