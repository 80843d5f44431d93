/**
 * One discriminant and one visitor for whatever a field can be of. Layout, schema, values and the generator of views
 * say what they do with each kind in a table, and the compiler sees to it that no kind is missing.
 */
import type { ArrayType, AtomicType, BitsType, FieldType, StructType } from "./composite.ts";
import type { CType, ScalarType, ValueKind } from "./types.ts";

interface TypesByKind {
  readonly scalar: ScalarType<unknown, unknown>;
  readonly text: CType<unknown>;
  readonly bytes: CType<unknown>;
  readonly own: CType<unknown>;
  readonly array: ArrayType;
  readonly struct: StructType;
  readonly bits: BitsType;
  readonly atomic: AtomicType;
}

/** What a type is by. */
export type Kind = keyof TypesByKind;

/** What to do with a type of each kind; `context` is whatever else it takes. */
export type Visitor<R, C = void> = {
  readonly [K in Kind]: (type: TypesByKind[K], context: C) => R;
};

/** The kind of a type; one that does not say has its own functions. */
export const kindOf = (type: { readonly kind?: Kind | undefined }): Kind => type.kind ?? "own";

/** Does what the visitor does with types of this kind. */
export function visit<R>(type: FieldType, visitor: Visitor<R>): R;
export function visit<R, C>(type: FieldType, visitor: Visitor<R, C>, context: C): R;
export function visit<R, C>(type: FieldType, visitor: Visitor<R, C>, context?: C): R {
  // Only the compiler cannot follow that the type under a kind is the one that this kind's entry takes.
  const handle = visitor[kindOf(type)] as (type: FieldType, context: C) => R;
  return handle(type, context as C);
}

/** One answer for all types with a value of their own. */
export const forValues = <R, C = void>(
  handle: (type: CType<unknown>, context: C) => R,
): Pick<Visitor<R, C>, ValueKind> => ({ scalar: handle, text: handle, bytes: handle, own: handle });
