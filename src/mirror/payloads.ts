/** What messages and jobs of another machine are, by the schema that came with them. */
import { MirrorError, StructDefinitionError } from "../errors/errors.ts";
import { type Message, Payload, type PayloadClass } from "../segment/payload.ts";
import { limitsInFile, OF_TOOLS } from "../struct/declare/limits.ts";
import type { StructSchema } from "../struct/schema/schema.ts";
import { parseSchemaJson } from "../struct/schema/schema-json.ts";
import { structFromSchema } from "../struct/schema/schema-reader.ts";
import { type Conversion, conversionOf, differenceOf } from "./convert.ts";
import type { Head } from "./frame.ts";

type PayloadSchema = { readonly payload?: StructSchema | { readonly bytes: number } };

/** The struct of a schema of slots; undefined for raw bytes. @throws MirrorError for nonsense */
function structIn(schema: Uint8Array): StructSchema | undefined {
  try {
    const { payload } = (parseSchemaJson(schema) ?? {}) as PayloadSchema;
    if (typeof payload !== "object" || payload === null) throw new StructDefinitionError("it has no payload");
    return "bytes" in payload ? undefined : payload;
  } catch (cause) {
    throw new MirrorError(`the schema of a value in the bucket cannot be read: ${cause}`);
  }
}

/** A class for the messages or jobs of a schema. @throws MirrorError for nonsense */
export function payloadClass(schema: Uint8Array): PayloadClass<Message> {
  const struct = structIn(schema);
  if (struct === undefined) return Uint8Array as unknown as PayloadClass<Message>;
  try {
    return structFromSchema(struct, { limits: limitsInFile(OF_TOOLS) }) as unknown as PayloadClass<Message>;
  } catch (cause) {
    if (!(cause instanceof StructDefinitionError)) throw cause;
    throw new MirrorError(`the struct in a value of the bucket cannot be: ${cause.message}`);
  }
}

/** @throws MirrorError for a schema that is not what its frame is about */
export function payloadOf({ fingerprint, contentBytes }: Head, schema: Uint8Array): Payload<Message> {
  const payload = new Payload<Message>(payloadClass(schema));
  const isIt = payload.fingerprint === BigInt.asUintN(64, BigInt(fingerprint));
  if (isIt && contentBytes >= payload.structBytes) return payload;
  throw new MirrorError(
    `a value in the bucket describes messages that its slots of ${contentBytes} bytes do not hold`,
  );
}

/** How messages of each kind of machine become ones of this one. */
export class Conversions {
  readonly #struct: StructSchema | undefined;
  readonly #known = new Map<number, Conversion>();

  constructor(schema: Uint8Array) {
    this.#struct = structIn(schema);
  }

  /** @throws MirrorError for what cannot be converted */
  of(abi: number): Conversion {
    const known = this.#known.get(abi);
    if (known !== undefined) return known;
    const difference = differenceOf(abi);
    const convert =
      difference === undefined || this.#struct === undefined ? same : conversionOf(this.#struct, difference);
    this.#known.set(abi, convert);
    return convert;
  }
}

const same: Conversion = (bytes) => bytes;
