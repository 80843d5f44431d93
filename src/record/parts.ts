/** Single members and elements of the committed struct, read without the rest of it. */
import type { FieldType } from "../struct/declare/composite.ts";
import { field, struct } from "../struct/declare/decorators.ts";
import { Struct } from "../struct/declare/struct.ts";
import { forValues, type Visitor, visit } from "../struct/declare/visit.ts";
import { type Layout, layoutOfClass, sizeOfType } from "../struct/layout/layout.ts";
import type { Range } from "../struct/layout/plain-ranges.ts";
import type { View } from "../struct/view/internals.ts";
import { type ResolvedPath, resolvePath } from "../struct/view/path.ts";
import { bytesOf, cellsOf, Snapshots } from "./snapshots.ts";

/** A part of a struct, looked up once. */
export interface Part extends Range {
  readonly path: ResolvedPath;
  /** Of a value that one getter reads: it, by a view of the whole struct. Undefined for what is copied. */
  readonly read: ((view: object) => unknown) | undefined;
  /** Bytes that the getter looks at, or more. */
  readonly reads: Range;
  /** Private memory for a copy of the part's bytes. */
  readonly make: () => PartMemory;
}

/** Private memory of one part. */
export class PartMemory {
  /** Where the part begins in the struct. */
  readonly start: number;
  readonly #byteLength: number;
  readonly #view: View & { value: unknown };

  constructor(view: View & { value: unknown }, start: number, byteLength: number) {
    this.start = start;
    this.#byteLength = byteLength;
    this.#view = view;
  }

  /** The memory in whole words, if the part is made of these. */
  get cells(): Int32Array | undefined {
    return this.start % 4 === 0 && this.#byteLength % 4 === 0 ? cellsOf(this.#view) : undefined;
  }

  get bytes(): Uint8Array {
    return bytesOf(this.#view).subarray(0, this.#byteLength);
  }

  /** What stands for the bytes. */
  get value(): unknown {
    return this.#view.value;
  }
}

/** Paths made from data must not fill the memory. */
const MAX_KNOWN = 10_000;

/** Single values are read in place; structs, arrays and atomics are handed out, and so are copied. */
const isReadInPlace: Visitor<boolean> = {
  ...forValues(() => true),
  bits: () => true,
  array: () => false,
  struct: () => false,
  atomic: () => false,
};

export class Parts {
  readonly #layout: Layout;
  readonly #known = new Map<string, Part>();

  constructor(layout: Layout) {
    this.#layout = layout;
  }

  /** @throws TypeError, RangeError for a path that does not exist */
  at(path: string): Part {
    const known = this.#known.get(path);
    if (known !== undefined) return known;
    const part = this.#partOf(resolvePath(this.#layout, path));
    if (this.#known.size >= MAX_KNOWN) this.#known.clear();
    this.#known.set(path, part);
    return part;
  }

  #partOf(path: ResolvedPath): Part {
    const isInPlace = visit(path.type, isReadInPlace);
    return {
      path,
      start: path.offset,
      end: path.offset + (isInPlace ? 0 : sizeOfType(path.type)),
      read: isInPlace ? getterOf(path) : undefined,
      reads: readsOf(path, this.#layout.size),
      make: makerOf(this.#layout, path),
    };
  }
}

/** A bit-field is read with its neighbours, from words that may begin before it. */
function readsOf({ offset, type }: ResolvedPath, structBytes: number): Range {
  const around = type.kind === "bits" ? MOST_BITS_BYTES : 0;
  const end = offset + sizeOfType(type) + around;
  return { start: Math.max(0, offset - around), end: Math.min(end, structBytes) };
}

const MOST_BITS_BYTES = 16;

/** Written out, as each step of a loop over the path would cost more than the read. */
function getterOf({ steps }: ResolvedPath): (view: object) => unknown {
  const access = steps.map((step) =>
    typeof step === "string" ? `[${JSON.stringify(step)}]` : `.at(${step})`,
  );
  return new Function("view", `return view${access.join("")};`) as (view: object) => unknown;
}

/** A struct that has only the part, so that it reads its bytes as the whole one does. Made when the first copy is. */
function makerOf({ name }: Layout, { type, endian, offset }: ResolvedPath): Part["make"] {
  let snapshots: Snapshots<Struct & { value: unknown }> | undefined;
  const size = sizeOfType(type);
  return () => {
    snapshots ??= new Snapshots(layoutOfClass(wrapperOf(name, type, endian)));
    return new PartMemory(snapshots.make(), offset, size);
  };
}

function wrapperOf(name: string, type: FieldType, endian: Layout["endian"]): typeof Struct {
  const Wrapper = class extends Struct {};
  field(type)(Wrapper.prototype as never, "value" as never);
  struct({ name, ...(endian && { endian }) })(Wrapper as never);
  return Wrapper;
}
