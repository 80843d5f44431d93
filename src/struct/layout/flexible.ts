/** Where a struct ends that takes the memory behind it. */
import { StructDefinitionError } from "../../errors/errors.ts";
import { show } from "../../errors/show.ts";
import type { StructType } from "../declare/composite.ts";
import { isFlexible, type Layout, layoutOfClass, type Member, sizeOfType } from "./layout.ts";

/** The member that takes the rest: of a union an array rather than text, which ends earlier. */
export function flexibleMember(layout: Layout): Member {
  const open = layout.members.filter(({ type, via }) => via === undefined && isFlexible(type));
  const member = open.find(({ type }) => type.kind === "array") ?? open[0];
  if (member !== undefined) return member;
  throw new StructDefinitionError(`${layout.name} has no flexible array, so it cannot have a length`);
}

/**
 * Bytes of a struct whose flexible array has this many elements, or whose flexible text this many bytes.
 * @throws RangeError for what is no number of elements, StructDefinitionError for a struct that ends by itself
 */
export function bytesFor(layout: Layout, length: number): number {
  const { offset, type } = flexibleMember(layout);
  if (!Number.isSafeInteger(length) || length < 0)
    throw new RangeError(`${layout.name}: a length must be a whole number from 0 on, got ${show(length)}`);
  if (type.kind === "struct")
    return Math.max(layout.size, offset + bytesFor(layoutOfClass(type.cls), length));
  const elementBytes = type.kind === "array" ? sizeOfType(type.element) : 1;
  return Math.max(layout.size, offset + length * elementBytes);
}

/**
 * The bytes that the values of `init` need: those of the struct, and of what it ends in as far as `init` says.
 * @param init an object with members, or a struct
 */
export function bytesOfInit(layout: Layout, init: unknown): number {
  if (!layout.flexible || typeof init !== "object" || init === null) return layout.size;
  const { name, type, offset } = flexibleMember(layout);
  const value: unknown = (init as Record<string, unknown>)[name];
  if (type.kind === "struct") return Math.max(layout.size, offset + bytesOfInit(innerOf(type), value));
  const counted = type.kind === "array" && type.count !== undefined;
  const count = counted ? Number((init as Record<string, unknown>)[type.count as string] ?? 0) : 0;
  return bytesFor(
    layout,
    value === undefined && Number.isSafeInteger(count) ? Math.max(0, count) : lengthOf(value),
  );
}

const innerOf = ({ cls }: StructType): Layout => layoutOfClass(cls);

/** Elements; of text the bytes that it takes at most, and its NUL. */
function lengthOf(value: unknown): number {
  if (typeof value === "string") return 3 * value.length + 2;
  if (typeof value !== "object" || value === null) return 0;
  const { length, size } = value as { readonly length?: unknown; readonly size?: unknown };
  return [length, size].find((count) => typeof count === "number") ?? 0;
}
