/** What the slots of a channel or queue hold: structs of one class, or raw bytes of any length up to the slot's. */

import { FileFormatError, LayoutMismatchError, StructDefinitionError } from "../errors/errors.ts";
import { escapeText, show } from "../errors/show.ts";
import type { StructClass } from "../struct/declare/composite.ts";
import { limitsBeside, limitsInFile, OF_TOOLS, type SchemaLimits } from "../struct/declare/limits.ts";
import type { Struct, StructClassMark } from "../struct/declare/struct.ts";
import type { Init } from "../struct/declare/type-utils.ts";
import { structByName } from "../struct/functions.ts";
import { type Layout, layoutOfClass, traitsOf } from "../struct/layout/layout.ts";
import { FRESH, READ_ONLY, Region } from "../struct/memory/memory.ts";
import { fingerprintOf, leavesOf, type StructSchema, schemaOf } from "../struct/schema/schema.ts";
import { parseSchemaJson } from "../struct/schema/schema-json.ts";
import { structFromSchema } from "../struct/schema/schema-reader.ts";
import type { View } from "../struct/view/internals.ts";
import { plainView, unreadable } from "../struct/view/plain.ts";
import { assignView } from "../struct/view/values.ts";
import { makeView } from "../struct/view/view.ts";
import { TRUST_OPTIONS, type Trust } from "../sys/trust.ts";
import type { SegmentFile } from "./segment-file.ts";

/** A struct, or raw bytes. */
export type Message = Struct | Uint8Array;

/** What a slot is said to hold: a struct class, or `Uint8Array`. @example new Publisher(Uint8Array, { payloadBytes: 65536 }) */
export type PayloadClass<T extends Message> = (abstract new () => T) &
  (StructClassMark | { readonly BYTES_PER_ELEMENT: number });

/** A value to store: the members of a struct, or bytes. */
export type MessageInit<T extends Message> = T extends Struct ? Init<T> : Uint8Array;

/** Where a channel or queue is. */
export interface SlotsPlace extends Trust {
  /** Directory of the file. Default `"./.mmap"`; large ones belong in memory: `"/dev/shm/…"`. */
  readonly dir?: string | undefined;
  /** Tells several files of one class apart: `<dir>/<Class>_<tag>.channel` or `.queue`. Default empty. */
  readonly tag?: string | undefined;
  /** Instead of a directory: the name of a POSIX shared memory object, `"/frames"` (Linux). */
  readonly name?: string | undefined;
  /** The class name in the file's name. Default: the class's own, `Bytes` for `Uint8Array`. */
  readonly className?: string | undefined;
}

/** How a channel or queue is made. */
export interface SlotsOptions extends SlotsPlace {
  /** Make the file when it is missing. Default false. */
  readonly create?: boolean | undefined;
  /** With `create`: replace a file that is there, with what it holds. Default false. */
  readonly force?: boolean | undefined;
  /** Bytes of a message or job at most. Default: those of the struct; needed for `Uint8Array`. */
  readonly payloadBytes?: number | undefined;
  /** Permissions of the files made, not reduced by the umask. Default 0o600. */
  readonly mode?: number | undefined;
}

/** The options of `SlotsPlace`, for `checkOptions`. */
export const SLOTS_PLACE = {
  dir: "string",
  tag: "string",
  name: "string",
  className: "string",
  ...TRUST_OPTIONS,
} as const;
/** The options of `SlotsOptions`, for `checkOptions`. */
export const SLOTS_OPTIONS = {
  ...SLOTS_PLACE,
  create: "boolean",
  force: "boolean",
  payloadBytes: "number",
  mode: "number",
} as const;

/** What the schema of such a file says of its payload. */
type PayloadSchema = { readonly payload: StructSchema | { readonly bytes: number } };

/** At most this many differences are told one by one. */
const MAX_TOLD = 20;

export class Payload<T extends Message> {
  /** The class's name, which begins the file's. */
  readonly name: string;
  readonly #layout: Layout | undefined;

  /** @throws TypeError for what is neither a struct class, nor the name of a loaded one, nor `Uint8Array` */
  constructor(cls: PayloadClass<T> | string) {
    if ((cls as unknown) === Uint8Array) {
      this.name = "Bytes";
      return;
    }
    const found = typeof cls === "string" ? structByName(cls) : (cls as unknown as StructClass);
    if (typeof found !== "function") {
      throw new TypeError(`expected a struct class or Uint8Array, got ${show(cls)}`);
    }
    this.#layout = layoutOfClass(found);
    this.name = this.#layout.name;
  }

  /** What a program passes, for hints. */
  get className(): string {
    return this.isBytes ? "Uint8Array" : this.name;
  }

  /** Bytes of the struct; 0 for raw bytes. */
  get structBytes(): number {
    return this.#layout?.size ?? 0;
  }

  /** Whether the length of a message may differ from message to message. */
  get isVariable(): boolean {
    return this.#layout === undefined || this.#layout.flexible;
  }

  get isBytes(): boolean {
    return this.#layout === undefined;
  }

  /**
   * Bytes of a slot's payload in a new file.
   * @throws TypeError when it must be said and is not; RangeError when it is too small for the struct
   */
  capacity(payloadBytes: number | undefined): number {
    const { structBytes, isVariable, name } = this;
    if (payloadBytes === undefined) {
      if (!isVariable) return structBytes;
      throw new TypeError(`option payloadBytes is needed: messages of ${name} have no fixed length`);
    }
    if (payloadBytes < structBytes) {
      throw new RangeError(`option payloadBytes is ${payloadBytes}, but ${name} takes ${structBytes} bytes`);
    }
    return payloadBytes;
  }

  /** Of the struct; undefined for raw bytes. */
  get structSchema(): StructSchema | undefined {
    return this.#layout && schemaOf(this.#layout);
  }

  /** @throws TypeError for the length of a struct that has but one */
  checkLength(where: string, length: number | undefined): void {
    if (length === undefined || this.isVariable) return;
    throw new TypeError(
      `${where}: option length is for raw bytes; ${escapeText(this.name)} always takes ${this.structBytes} bytes`,
    );
  }

  schema(payloadBytes: number): PayloadSchema {
    return { payload: this.#layout === undefined ? { bytes: payloadBytes } : schemaOf(this.#layout) };
  }

  get fingerprint(): bigint {
    return this.#layout === undefined ? 0n : fingerprintOf(this.#layout);
  }

  /**
   * Checks that the slots of a file hold this.
   * @param recreate what to do about it
   * @throws LayoutMismatchError that lists what differs; FileFormatError for a schema that is not sound
   */
  check(file: SegmentFile, payloadBytes: number, recreate: string): void {
    if (file.footer?.fingerprint === this.fingerprint && payloadBytes >= this.structBytes) return;
    const all = this.#differences(file, payloadBytes);
    const told = all.slice(0, MAX_TOLD).map((text) => `\n  - ${text}`);
    const more = all.length > MAX_TOLD ? `\n  - and ${all.length - MAX_TOLD} more` : "";
    throw new LayoutMismatchError(
      file.path,
      all,
      `'${file.path}' has slots for something else than ${this.name}:${told.join("")}${more}\nUse the class that the file was made with; or: ${recreate}`,
    );
  }

  #differences(file: SegmentFile, payloadBytes: number): string[] {
    const limits = limitsBeside(this.#layout === undefined ? 0 : leavesOf(this.#layout).length);
    const { payload } = schemaOfFile(file, limits);
    if (payload === undefined || "bytes" in payload || this.#layout === undefined) {
      const inFile = payload === undefined || "bytes" in payload ? "raw bytes" : payload.name;
      return [`${inFile} in the file, ${this.#layout === undefined ? "raw bytes" : this.name} here`];
    }
    const spell = ({ path, type, offset }: ReturnType<typeof leavesOf>[number]): string =>
      `${path} is ${type} at ${offset}`;
    const here = leavesOf(this.#layout).map(spell);
    const cls = classOfMessages(payload, file, limits);
    const there = leavesOf(layoutOfClass(cls)).map(spell);
    const differences = [
      ...there.filter((leaf) => !here.includes(leaf)).map((leaf) => `${leaf} in the file`),
      ...here.filter((leaf) => !there.includes(leaf)).map((leaf) => `${leaf} in ${this.name}`),
    ];
    if (differences.length > 0) return differences;
    return [`slots have ${payloadBytes} bytes, ${this.name} takes ${this.structBytes}`];
  }

  /** Memory of a slot's payload, for views on it. */
  region(bytes: Uint8Array, byteOffset: number, byteLength: number, access: "read" | "write"): Region {
    const traits = access === "read" ? READ_ONLY | FRESH : 0;
    const start = bytes.byteOffset + byteOffset;
    return new Region(
      bytes.buffer,
      start,
      byteLength,
      this.#layout ? traitsOf(this.#layout, traits) : traits,
    );
  }

  /** A view of such memory. */
  view(region: Region): T {
    const { buffer, byteOffset, byteLength } = region;
    if (this.#layout === undefined) return new Uint8Array(buffer, byteOffset, byteLength) as unknown as T;
    return makeView<Struct>(this.#layout, region, 0) as unknown as T;
  }

  /** A message as a private copy of its bytes in a slot. */
  copyOf(source: Uint8Array): T {
    const layout = this.#layout;
    // Made of the source, the memory is not cleared first: for large messages that takes as long as to copy them.
    if (layout === undefined) return new Uint8Array(source) as unknown as T;
    if (source.length === layout.size || (layout.flexible && source.length > layout.size)) {
      const bytes = new Uint8Array(source);
      return this.view(this.region(bytes, 0, bytes.length, "write"));
    }
    const { bytes, view } = this.copy(source.length);
    bytes.set(source.length > bytes.length ? source.subarray(0, bytes.length) : source);
    return view;
  }

  /** Private memory for a message of `length` bytes: its bytes and the view on them. */
  copy(length: number): { bytes: Uint8Array<ArrayBuffer>; view: T } {
    const bytes = new Uint8Array(
      this.#layout?.flexible === false ? this.#layout.size : Math.max(length, this.structBytes),
    );
    if (this.#layout === undefined) return { bytes, view: bytes as unknown as T };
    return { bytes, view: this.view(this.region(bytes, 0, bytes.byteLength, "write")) };
  }

  /** Stores a value into the view of a slot. @returns how long raw bytes are; undefined for a struct, which fills its place */
  assign(view: T, value: unknown): number | undefined {
    if (this.#layout !== undefined) {
      assignView(view as unknown as View, value);
      return undefined;
    }
    const target = view as unknown as Uint8Array;
    if (value instanceof Uint8Array && value.byteLength <= target.byteLength) {
      target.set(value);
      return value.byteLength;
    }
    if (!ArrayBuffer.isView(value) || value.byteLength > target.byteLength) {
      const what = ArrayBuffer.isView(value) ? `${value.byteLength} bytes` : show(value);
      throw new (ArrayBuffer.isView(value) ? RangeError : TypeError)(
        `expected a Uint8Array of at most ${target.byteLength} bytes, got ${what}`,
      );
    }
    target.set(new Uint8Array(value.buffer, value.byteOffset, value.byteLength));
    return value.byteLength;
  }
}

/** The payload that a file says it has, for tools. @throws FileFormatError when what it says is not sound */
export function payloadInFile(file: SegmentFile, limits: SchemaLimits = OF_TOOLS): Payload<Message> {
  const { payload } = schemaOfFile(file, limits);
  if (payload === undefined || "bytes" in payload) return new Payload<Message>(Uint8Array);
  return new Payload<Message>(classOfMessages(payload, file, limits) as never);
}

function classOfMessages(
  schema: StructSchema,
  file: SegmentFile,
  limits: SchemaLimits,
): ReturnType<typeof structFromSchema> {
  try {
    return structFromSchema(schema, { limits: limitsInFile(limits) });
  } catch (cause) {
    if (!(cause instanceof StructDefinitionError)) throw cause;
    const reason = `the messages that '${file.path}' describes cannot be: ${cause.message}`;
    throw new FileFormatError(file.path, reason, false, { cause });
  }
}

/** The plain value of a message in private memory: of raw bytes, those. */
export const plainMessage = (view: Message): unknown =>
  view instanceof Uint8Array ? view : plainView(view as unknown as View, { unreadable });

function schemaOfFile({ path, schemaBytes }: SegmentFile, limits: SchemaLimits): Partial<PayloadSchema> {
  try {
    return parseSchemaJson(schemaBytes, limits) as Partial<PayloadSchema>;
  } catch (cause) {
    const reason = escapeText(String(cause));
    throw new FileFormatError(path, `the schema in '${path}' cannot be read: ${reason}`, false, { cause });
  }
}
