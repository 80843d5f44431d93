/** Single members and elements of the committed struct, read without the rest of it. */
import type { FieldType } from "../struct/declare/composite.ts";
import { field, struct } from "../struct/declare/decorators.ts";
import { Struct } from "../struct/declare/struct.ts";
import { forValues, type Visitor, visit } from "../struct/declare/visit.ts";
import { type Layout, layoutOfClass, modeOf, sizeOfType } from "../struct/layout/layout.ts";
import type { Range } from "../struct/layout/plain-ranges.ts";
import { Region } from "../struct/memory/memory.ts";
import { type ResolvedPath, resolvePath } from "../struct/view/path.ts";
import { makeView } from "../struct/view/view.ts";

/** A part of a struct, looked up once. */
export interface Part extends Range {
  readonly path: ResolvedPath;
  /** Of a value that one getter reads: it, by a view of the whole struct. Undefined for what is copied. */
  readonly read: ((view: object) => unknown) | undefined;
  /** Bytes that the getter looks at, or more. */
  readonly reads: Range;
  /** Private memory for a copy of the part's bytes, and what stands for them. */
  readonly make: () => { readonly bytes: Uint8Array; readonly value: unknown };
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
      make: isInPlace ? () => ({ bytes: new Uint8Array(), value: undefined }) : makerOf(this.#layout, path),
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

/** A struct that has only the part, so that it reads its bytes as the whole one does. */
function makerOf({ name }: Layout, { type, endian }: ResolvedPath): Part["make"] {
  const layout = layoutOfClass(wrapperOf(name, type, endian));
  const size = sizeOfType(type);
  return () => {
    const memory = new ArrayBuffer(layout.size);
    const region = new Region(memory, 0, layout.size, modeOf(layout, 0));
    const view = makeView<Struct>(layout, region, 0) as Struct & { value: unknown };
    return { bytes: new Uint8Array(memory, 0, size), value: view.value };
  };
}

function wrapperOf(name: string, type: FieldType, endian: Layout["endian"]): typeof Struct {
  const Wrapper = class extends Struct {};
  field(type)(Wrapper.prototype as never, "value" as never);
  struct({ name, ...(endian && { endian }) })(Wrapper as never);
  return Wrapper;
}
