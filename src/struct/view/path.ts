/** Dotted paths into a struct: `"multi_pts.multi_points.3.x"`. */
import { show } from "../../errors/show.ts";
import { type FieldType, StructType } from "../declare/composite.ts";
import { type CType, isNumeric, isScalar, type TypedArray, typedArrays } from "../declare/types.ts";
import { type Layout, layoutOfClass, sizeOfType, typeName } from "../layout/layout.ts";
import { TRACKED } from "../memory/memory.ts";
import { at, itHas, rangeRefusal, seenFrom } from "../validation-error.ts";
import type { CArray } from "./arrays.ts";
import { isView, LAYOUT, OFFSET, REGION, type View } from "./internals.ts";
import { plainValue } from "./plain.ts";

/** A path, looked up. */
export interface ResolvedPath {
  /** Member names, and indices into arrays. */
  readonly steps: readonly (string | number)[];
  /** Bytes from the start of the outermost struct. */
  readonly offset: number;
  readonly type: FieldType;
  /** The byte order there, if it is not the machine's. */
  readonly endian?: Layout["endian"];
}

const resolved = new WeakMap<Layout, Map<string, ResolvedPath>>();
/** Paths made from data must not fill the memory. */
const MAX_KNOWN = 10_000;

/**
 * Looks a path up in a layout.
 * @throws TypeError for a member that does not exist, RangeError for an index beyond its array
 */
export function resolvePath(layout: Layout, path: string): ResolvedPath {
  const known = resolved.get(layout);
  return known?.get(path) ?? resolveNew(layout, path, known ?? new Map<string, ResolvedPath>());
}

function resolveNew(layout: Layout, path: string, known: Map<string, ResolvedPath>): ResolvedPath {
  resolved.set(layout, known);
  const result = resolve(layout, path);
  if (known.size >= MAX_KNOWN) known.clear();
  known.set(path, result);
  return result;
}

function resolve(layout: Layout, path: string): ResolvedPath {
  if (typeof path !== "string")
    throw new TypeError(`${layout.name}: a path must be a string, got ${show(path)}`);
  const { cls, endian } = layout;
  let place: ResolvedPath = { steps: [], offset: 0, type: new StructType(cls), endian };
  for (const step of path.split("."))
    place = follow(place, step, `${layout.name}: path ${JSON.stringify(path)}`);
  return place;
}

function follow(place: ResolvedPath, step: string, where: string): ResolvedPath {
  const { type, steps, offset } = place;
  if (type.kind === "struct") {
    const layout = layoutOfClass(type.cls);
    const member = layout.byName.get(step);
    if (member === undefined)
      throw new TypeError(
        `${where}: ${layout.name} has no member ${JSON.stringify(step)}; ${itHas(layout.members)}`,
      );
    const order = member.endian ?? place.endian;
    return {
      steps: [...steps, step],
      offset: offset + member.offset,
      type: member.type,
      endian: orderWithin(member.type, order),
    };
  }
  if (type.kind !== "array")
    throw new TypeError(
      `${where}: ${typeName(type)} has no members, so ${JSON.stringify(step)} leads nowhere`,
    );
  const index = Number(step);
  // One spelling an element: "01" would be another path for the same one.
  if (!/^(0|[1-9]\d*)$/.test(step))
    throw new TypeError(`${where}: ${JSON.stringify(step)} must be an index into ${typeName(type)}`);
  if (type.length !== null && index >= type.length)
    throw new RangeError(`${where}: index ${step} is outside ${typeName(type)}`);
  return {
    steps: [...steps, index],
    offset: offset + index * sizeOfType(type.element),
    type: type.element,
    endian: orderWithin(type.element, place.endian),
  };
}

/** A struct may have a byte order of its own. */
const orderWithin = (type: FieldType, outer: Layout["endian"]): Layout["endian"] =>
  type.kind === "struct" ? (layoutOfClass(type.cls).endian ?? outer) : outer;

/** The member or element of a view or array. */
function child(node: unknown, step: string | number): unknown {
  if (typeof step === "string") return (node as Record<string, unknown>)[step];
  const elements = node as { readonly length: number; at(index: number): unknown };
  if (step >= elements.length)
    throw rangeRefusal(`index ${step} is outside an array of ${elements.length} elements`);
  return elements.at(step);
}

/** The value at a path of a view. */
export function getPath(view: object, { steps }: ResolvedPath): unknown {
  try {
    let value: unknown = view;
    for (let i = 0; i < steps.length; i++) value = child(value, steps[i] as string | number);
    return value;
  } catch (error) {
    throw fromRoot(view, steps, error);
  }
}

/** The value at a path of a view as a plain copy; an array of numbers as a typed array, copied as memory is. */
export function plainPath(view: object, path: ResolvedPath): unknown {
  const value = getPath(view, path);
  if (isScalar(path.type)) return value;
  try {
    const numbers = copyOfNumbers(path.type, value);
    if (numbers !== undefined) return numbers;
    return plainValue(path.type, () => value, {});
  } catch (error) {
    const { steps, type } = path;
    throw fromRoot(view, steps, error, type.kind === "struct" ? steps.length : undefined);
  }
}

function copyOfNumbers(type: FieldType, value: unknown): TypedArray | undefined {
  if (type.kind !== "array" || !isNumeric(type.element)) return undefined;
  const TypedArray = typedArrays[type.element.inline.accessor];
  if (value instanceof TypedArray) return value.slice();
  const numbers = value as CArray<number | bigint>;
  return numbers.copyTo(new TypedArray(numbers.length) as never);
}

/** Sets the value at a path of a view, checked like any assignment. */
export function setPath(view: object, path: ResolvedPath, value: unknown): void {
  const { steps, type } = path;
  const last = steps.at(-1) as string | number;
  try {
    if (typeof last === "number" && isView(view) && (view[REGION].traits & TRACKED) !== 0) {
      if (setTracked(view, path, value)) return;
    }
    const parent = steps.slice(0, -1).reduce<unknown>(child, view);
    if (typeof last === "string") (parent as Record<string, unknown>)[last] = value;
    else if (ArrayBuffer.isView(parent)) setElement(parent, last, type as CType<unknown>, value);
    else (parent as CArray<unknown>).set([value], last);
  } catch (error) {
    throw fromRoot(view, steps, error);
  }
}

/** An element of an array of numbers: the typed array, handed out, would have all its blocks saved. */
function setTracked(view: View, { type, offset, endian }: ResolvedPath, value: unknown): boolean {
  if (!isNumeric(type)) return false;
  let checked: number | bigint;
  try {
    checked = type.check(value);
  } catch (error) {
    throw at("", error);
  }
  const { [REGION]: region, [OFFSET]: base } = view;
  const memory = (endian === "big") === !region.littleEndian ? region : region.swapped;
  memory.willStore(base + offset, type.size);
  type.write(memory, base + offset, checked as never);
  return true;
}

/** A store into a typed array wraps around silently, so the value is checked first. */
function setElement(array: ArrayBufferView, index: number, type: CType<unknown>, value: unknown): void {
  child(array, index);
  try {
    (array as unknown as unknown[])[index] = type.check(value);
  } catch (error) {
    // It may be the value's own, when it is asked what it is.
    throw at("", error);
  }
}

/**
 * Views know their own struct only: the error then says `Point.x`, and this `Robot.path[3].x`.
 * @param depth steps to the struct that its place begins with; as a rule, the one that the last member is in
 */
function fromRoot(
  view: object,
  steps: ResolvedPath["steps"],
  error: unknown,
  depth = steps.findLastIndex((step) => typeof step === "string"),
): unknown {
  const { name } = (view as View)[LAYOUT];
  return seenFrom(name + shown(steps.slice(0, depth)), error, shown(steps.slice(depth)));
}

/** As the errors of nested values have it: `.path[3].x`. */
const shown = (steps: ResolvedPath["steps"]): string =>
  steps.map((step) => (typeof step === "string" ? `.${step}` : `[${step}]`)).join("");
