/**
 * VIEW: from a layout to a class whose accessors go straight to the bytes. The class is generated as source, one
 * per layout and traits, because closures shared between classes go megamorphic (30 times slower once twenty
 * struct classes are alive). Its prototype inherits from the user's class, so methods and `instanceof` hold,
 * while the user's constructor never runs.
 */
import type { FieldType } from "../declare/composite.ts";
import type { Struct } from "../declare/struct.ts";
import { inOrder, type Layout, valueMembers } from "../layout/layout.ts";
import { AT_START, OWN, type Region, UNALIGNED } from "../memory/memory.ts";
import { CArray, type Owner } from "./arrays.ts";
import { Generator } from "./generator.ts";
import { ANEW, LAYOUT, type View } from "./internals.ts";

export type ViewClass = new (region: Region, byteOffset: number) => View;
type ArrayClass = new (
  region: Region,
  byteOffset: number,
  length: number,
  owner: Owner,
  row: number,
) => CArray<unknown>;

const viewClasses = new WeakMap<Layout, (ViewClass | undefined)[]>();
const arrayClasses = new WeakMap<FieldType, (ArrayClass | undefined)[]>();

/** The class of views with this layout and traits (see memory.ts), generated at its first use. */
export function viewClass(layout: Layout, traits: number): ViewClass {
  return cached(viewClasses, layout, traits, () => {
    const generator = new Generator(traits, classes);
    const source = generator.viewSource(layout);
    const View = evaluate<ViewClass>(source, generator.constants, layout.name);
    Object.defineProperty(View.prototype, LAYOUT, { value: layout });
    Object.defineProperty(View.prototype, ANEW, {
      value: (region: Region, byteOffset: number) =>
        new (region.traits === (traits & ~(AT_START | UNALIGNED)) ? View : viewClass(layout, traits & ~OWN))(
          region,
          byteOffset,
        ),
    });
    // So that `view.constructor` is the user's class, as instanceof suggests.
    const Whole = inheriting(View, layout.cls);
    return layout.byName.has("toJSON") ? withOwnMembers(Whole, layout) : Whole;
  });
}

/**
 * JSON.stringify asks for toJSON. Where that is a member, and so no function, it takes the own properties of the object:
 * then the members are these, too.
 */
function withOwnMembers(View: ViewClass, layout: Layout): ViewClass {
  const accessors = Object.fromEntries(
    valueMembers(layout).map(({ name }) => {
      const { get, set } = Object.getOwnPropertyDescriptor(View.prototype, name) ?? {};
      return [name, { get, set, enumerable: true }];
    }),
  );
  const Whole = class extends View {
    constructor(region: Region, byteOffset: number) {
      super(region, byteOffset);
      Object.defineProperties(this, accessors as PropertyDescriptorMap);
    }
  };
  Object.defineProperty(Whole.prototype, "constructor", {
    value: layout.cls,
    writable: false,
  });
  Object.defineProperty(Whole, "name", { value: layout.name });
  return Whole;
}

/** The class of arrays of this element type, generated at its first use. */
const arrayClass = (element: FieldType, traits: number): ArrayClass =>
  cached(arrayClasses, element, traits, () => {
    const generator = new Generator(traits, classes);
    const source = generator.arraySource(element);
    return inheriting(evaluate<ArrayClass>(source, generator.constants, "array"), CArray);
  });

const classes = { viewClass, arrayClass };

/** The generated source of a layout's view class. */
export const sourceOf = (layout: Layout, traits: number): string =>
  new Generator(traits, classes).viewSource(layout);

/** A view of `layout` at `byteOffset` of the region, in the region's traits. */
export function makeView<T extends Struct>(layout: Layout, region: Region, byteOffset: number): T {
  const memory = inOrder(region, layout);
  const isMisaligned = (region.byteOffset + byteOffset) % layout.align !== 0;
  const isAtStart = byteOffset === 0 && (memory.words === undefined || region.byteOffset === 0);
  const traits = memory.traits | (isAtStart ? AT_START : 0) | (isMisaligned ? UNALIGNED : 0);
  return new (viewClass(layout, traits))(memory, byteOffset) as unknown as T;
}

/** Elements in a region from `byteOffset` on, whatever their alignment. */
export const makeArray = (
  element: FieldType,
  region: Region,
  byteOffset: number,
  length: number,
): CArray<unknown> =>
  new (arrayClass(element, region.traits | UNALIGNED))(region, byteOffset, length, "array", 0);

function cached<K extends object, V>(
  cache: WeakMap<K, (V | undefined)[]>,
  key: K,
  traits: number,
  make: () => V,
): V {
  const perTraits = cache.get(key) ?? [];
  const known = perTraits[traits] ?? make();
  perTraits[traits] = known;
  cache.set(key, perTraits);
  return known;
}

/** Runs the generated source with its constants as parameters. */
function evaluate<C>(source: string, constants: ReadonlyMap<string, unknown>, name: string): C {
  const make = new Function(...constants.keys(), source);
  const Class = make(...constants.values()) as C & object;
  Object.defineProperty(Class, "name", { value: name });
  return Class;
}

/** Makes instances of a generated class look like those of `Base`. */
function inheriting<C extends { readonly prototype: object }>(
  Class: C,
  Base: { readonly prototype: object },
): C {
  Object.setPrototypeOf(Class.prototype, Base.prototype);
  // Not writable: a value stored there would not reach the memory.
  Object.defineProperty(Class.prototype, "constructor", { value: Base, writable: false });
  return Class;
}
