/** What goes through a message queue: bytes, or structs of one class. */
import { ShmError } from "../errors/errors.ts";
import type { IsStruct } from "../struct/declare/struct.ts";
import { bytesOf, create, type Init, Struct, type StructClass, sizeof, viewOf } from "../struct/index.ts";
import { textBytes } from "../sys/arguments.ts";

/**
 * Bytes to send; text goes as UTF-8.
 * @example const message: MessageBytes = new Uint8Array(8);
 */
export type MessageBytes = string | NodeJS.ArrayBufferView | ArrayBufferLike;

/**
 * What `send` takes: bytes, or for a typed queue a struct or the plain object to make one from.
 * @example const message: Sendable<Point2D> = { x: 1, y: 2 };
 */
export type Sendable<M> = IsStruct<M> extends true ? M | Init<M> : MessageBytes;

/** How messages of type `M` become bytes and bytes messages. */
export interface MessageCodec<M> {
  /** Bytes of every message, undefined when they differ. */
  readonly byteLength: number | undefined;
  encode(message: Sendable<M>): Uint8Array;
  /** `bytes` belong to the message from now on. */
  decode(bytes: Uint8Array<ArrayBuffer>, priority: number): M;
}

/**
 * A typed queue received something that is no struct of its class; `code` is "MESSAGE_FORMAT". The message has left the
 * queue: here it is. Thrown by `receive`, `receiveAsync` and iteration.
 * @example catch (error) { if (error instanceof MessageFormatError) console.error(error.bytes); }
 */
export class MessageFormatError extends ShmError {
  /** The message. */
  readonly bytes: Uint8Array;
  /** Its priority, 0 to QUEUE_PRIORITY_MAX. */
  readonly priority: number;

  /** @param message what `error.message` says */
  constructor(bytes: Uint8Array, priority: number, message: string) {
    super("MESSAGE_FORMAT", message);
    this.bytes = bytes;
    this.priority = priority;
  }
}

/** Messages as they are. */
export const bytesCodec: MessageCodec<Uint8Array> = {
  byteLength: undefined,
  encode: bytesOfMessage,
  decode: (bytes) => bytes,
};

function bytesOfMessage(message: MessageBytes): Uint8Array {
  if (typeof message === "string") return textBytes(message);
  if (ArrayBuffer.isView(message))
    return new Uint8Array(message.buffer, message.byteOffset, message.byteLength);
  if (message instanceof ArrayBuffer || message instanceof SharedArrayBuffer) return new Uint8Array(message);
  throw new TypeError(
    `a message must be text, bytes or a buffer, not ${message === null ? "null" : typeof message}`,
  );
}

/** Messages that are structs of `cls`, byte for byte as C would send them. */
export function structCodec<T extends Struct>(cls: StructClass<T>): MessageCodec<T> {
  const byteLength = sizeof(cls);
  return {
    byteLength,
    encode: (message) => bytesOf(asStruct(cls, message as T | Init<T>)),
    decode(bytes, priority) {
      const message = bytes.length < byteLength ? undefined : viewOf(cls, bytes);
      // Equal for all but a struct that ends in a flexible array, which takes what there is.
      if (message !== undefined && bytesOf(message).length === bytes.length) return message;
      throw new MessageFormatError(
        bytes,
        priority,
        `received a message of ${bytes.length} bytes, a ${cls.name} has ${byteLength}; error.bytes has the message`,
      );
    },
  };
}

function asStruct<T extends Struct>(cls: StructClass<T>, message: T | Init<T>): T {
  if (message instanceof cls) return message;
  if (message instanceof Struct) {
    throw new TypeError(`this queue sends ${cls.name} structs, not ${message.constructor.name}`);
  }
  return create(cls, message);
}
