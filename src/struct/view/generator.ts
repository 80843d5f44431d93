/**
 * Writes the source of a view class or of a class of arrays, in which accessors go straight to the bytes.
 *
 * Names from a class or a schema enter the source only as JSON strings, so no name can break out of it.
 */
import type { ArrayType, BitsType, FieldType, StructType } from "../declare/composite.ts";
import { isOpenText } from "../declare/text.ts";
import {
  type ConvertedType,
  type CType,
  type Inline,
  isNumeric,
  isOwnType,
  isScalar,
  type ScalarType,
  typedArrays,
} from "../declare/types.ts";
import { forValues, type Kind, kindOf, type Visitor, visit } from "../declare/visit.ts";
import {
  isAligned,
  type Layout,
  layoutOfClass,
  type Member,
  sizeOfType,
  traitsOf,
  traitsOfMember,
  typeName,
} from "../layout/layout.ts";
import { BARRIER_SOURCE, barrierWord } from "../memory/barrier.ts";
import { AT_START, BIG_ENDIAN, FRESH, OWN, READ_ONLY, Region, TRACKED, UNALIGNED } from "../memory/memory.ts";
import { own } from "../memory/own-region.ts";
import { gone, turned } from "../memory/words.ts";
import { at, readOnlyHere, unreadableAt } from "../validation-error.ts";
import {
  copyNumbers,
  ELEMENT,
  elementPath,
  IteratorPrototype,
  indexOfKey,
  MEMORY,
  normalIndex,
  PLACE,
} from "./arrays.ts";
import { Atomic, AtomicValue } from "./atomic.ts";
import {
  type BitMember,
  type BitSource,
  bitsExpression,
  bitsNumber,
  bitsRefuse,
  bitsStatements,
  checkBits,
  isBitMember,
} from "./bits.ts";
import { enumRefuses, integerOfEnum } from "./enums.ts";
import { OFFSET, REGION } from "./internals.ts";
import { jsonOfArray, readableElements } from "./plain.ts";
import { SourceWriter } from "./source-writer.ts";
import { fillArray, roomFor, storeElements, storeMember } from "./values.ts";

/** More composite members than this are not kept in slots of the view, which would make every view large. */
const MAX_SLOTS = 16;

/** Where the classes for nested structs and for arrays come from. */
export interface Classes {
  viewClass(layout: Layout, traits: number): unknown;
  arrayClass(element: FieldType, traits: number): unknown;
}

/** Where a value lies, as source text. */
interface ValueSource {
  /** The traits of the region that it is read from. */
  readonly traits: number;
  /** Whether it is aligned as it would be by itself. */
  readonly aligned: boolean;
  readonly offset: string;
  /** The arguments that tell an array or an atomic where it stands, for messages. */
  readonly owner: string;
}

/** Where a value is stored: the offset as source text, and the traits of the region. */
interface Destination {
  readonly place: string;
  readonly traits: number;
  readonly aligned: boolean;
}

/** An offset as source text, and the traits of the region there. */
type Spot = Pick<ValueSource, "offset" | "traits">;

const SIZES: Readonly<Record<Inline["accessor"], number>> = {
  Int8: 1,
  Uint8: 1,
  Int16: 2,
  Uint16: 2,
  Int32: 4,
  Uint32: 4,
  Float32: 4,
  BigInt64: 8,
  BigUint64: 8,
  Float64: 8,
};

/** Kinds whose value is an object on the memory: made once per view, and kept. */
const COMPOSITES: readonly Kind[] = ["array", "struct", "atomic"];

const isComposite = (type: FieldType): boolean => COMPOSITES.includes(kindOf(type));

/** Writes one class. */
export class Generator {
  readonly #classes: Classes;
  /** What the source reaches by name besides its own. */
  readonly #constants = new Map<string, unknown>([["B", barrierWord]]);
  /** The other way round, and how many constants of a name there are: a struct may have thousands of types. */
  readonly #names = new Map<unknown, string>();
  readonly #used = new Map<string, number>();
  /** The region's traits, without what only view classes have. */
  readonly #traits: number;
  readonly #isUnaligned: boolean;
  readonly #readOnly: boolean;
  readonly #fresh: boolean;
  /** Whether the memory is an `OwnRegion`, whose numbers are read from its typed array. */
  readonly #isOwn: boolean;
  /** Before each store its block is saved (see tracked.ts). */
  readonly #tracked: boolean;
  /** The last argument of DataView's methods. */
  readonly #littleEndian: boolean;
  /** What stands before an offset. */
  readonly #start: string;
  readonly #slots: string[] = [];
  /** Typed arrays over the buffer that the source uses. */
  readonly #windows = new Set<string>();

  constructor(traits: number, classes: Classes) {
    this.#classes = classes;
    this.#isOwn = (traits & OWN) !== 0 && (traits & BIG_ENDIAN) === 0;
    // In the other byte order it is a part of a buffer like any other.
    this.#traits = traits & ~(AT_START | UNALIGNED | (this.#isOwn ? 0 : OWN));
    this.#start = (traits & AT_START) === 0 ? "this.#offset + " : "";
    this.#isUnaligned = (traits & UNALIGNED) !== 0;
    this.#littleEndian = (traits & BIG_ENDIAN) === 0;
    this.#readOnly = (traits & READ_ONLY) !== 0;
    this.#fresh = (traits & FRESH) !== 0;
    this.#tracked = (traits & TRACKED) !== 0;
  }

  /** What the source needs, by the names it has there. */
  get constants(): ReadonlyMap<string, unknown> {
    return this.#constants;
  }

  /** The source of a view class: a function's body that returns it. */
  viewSource(layout: Layout): string {
    const accessors = layout.members.map((member) => this.#accessor(layout, member));
    const out = new SourceWriter();
    out.line('"use strict";');
    out.block("return class", () => {
      out.line(this.#memoryFields, ...this.#slots.map((slot) => `${slot};`));
      if (this.#tracked) out.line("#tracker;");
      out.block("constructor(region, offset)", [
        ...this.#keepMemory,
        ...(this.#tracked ? ["this.#tracker = region.tracker;"] : []),
      ]);
      out.block(`get [${this.#constant("REGION", REGION)}]()`, ["return this.#region;"]);
      out.block(`get [${this.#constant("OFFSET", OFFSET)}]()`, ["return this.#offset;"]);
      for (const { key, get, set } of accessors) {
        out.block(`get ${key}()`, get);
        out.block(`set ${key}(v)`, set);
      }
    });
    return out.toString();
  }

  /** The source of a class of arrays of `element`. */
  arraySource(element: FieldType): string {
    const out = new SourceWriter();
    out.line('"use strict";');
    this.#iterator(out, element);
    const isIndexed = this.#readOnly && isNumeric(element);
    if (isIndexed) this.#indexing(out);
    out.block("return class", () => {
      out.line(`${this.#memoryFields} #length; #owner; #row;`);
      out.block("constructor(region, offset, length, owner, row)", [
        ...this.#keepMemory,
        "this.#length = length; this.#owner = owner; this.#row = row;",
        ...(isIndexed ? ["return new Proxy(this, new Indexing(this));"] : []),
      ]);
      const place = this.#constant("PLACE", PLACE);
      out.block(`get [${place}]()`, [
        `return ${this.#constant("elementPath", elementPath)}(this.#owner, this.#row);`,
      ]);
      const memory = this.#constant("MEMORY", MEMORY);
      out.block(`get [${memory}]()`, ["return this.#region;"]);
      out.block(`get [${this.#constant("ELEMENT", ELEMENT)}]()`, [`return ${this.#type(element)};`]);
      out.block("get length()", ["return this.#length;"]);
      this.#elementReaders(out, element);
      this.#elementWriters(out, element);
      out.block("toJSON()", [`return ${this.#constant("jsonOfArray", jsonOfArray)}(this);`]);
      out.block('[Symbol.for("nodejs.util.inspect.custom")]()', [
        `return ${this.#constant("readableElements", readableElements)}(this, this[${memory}]);`,
      ]);
    });
    return out.toString();
  }

  /**
   * For numbers that no typed array may stand for, as a store to their memory would kill the process: a Proxy in front
   * makes `[i]` as fast as one can be (the one behind all arrays takes ten times as long, as it gets each index as a
   * string of its own), and compiled code sees through it to `at`. The class is written for each type of elements, so
   * that its calls stay those of one class.
   */
  #indexing(out: SourceWriter): void {
    const indexOf = this.#constant("indexOf", indexOfKey);
    out.block("class Indexing", () => {
      out.block("constructor(array)", ["this.at = (i) => array.at(i);"]);
      out.block("get(array, key)", [
        'if (key === "at") return this.at;',
        'if (key === "length") return array.length;',
        `const i = typeof key === "string" ? ${indexOf}(key) : -1;`,
        "if (i >= 0) return i < array.length ? array.at(i) : undefined;",
        "const value = array[key];",
        'return typeof value === "function" && key !== "constructor" ? value.bind(array) : value;',
      ]);
    });
  }

  #elementReaders(out: SourceWriter, element: FieldType): void {
    const size = sizeOfType(element);
    const value = (array: string) => {
      const at = { offset: `this.#offset + i * ${size}`, owner: `${array}, i` };
      return this.#read(element, { ...at, traits: this.#traits, aligned: !this.#isUnaligned });
    };
    const isPlain = isScalar(element) || isComposite(element);
    const place = `this[${this.#constant("PLACE", PLACE)}] + "[" + i + "]"`;
    // Once the compiler knows that i is an integer, two unsigned numbers take one comparison, not two. Only of single
    // bytes there may be so many elements that a negative index, unsigned, is one of them.
    const isOutside = size > 1 ? "i >>> 0 >= this.#length >>> 0" : "i < 0 || i >= this.#length";
    const normal = this.#constant("normalIndex", normalIndex);
    out.block("at(i)", [
      `if ((i | 0) !== i || ${isOutside}) i = ${normal}(i, this.#length, this);`,
      isPlain ? `return ${value("this")};` : this.#guarded(value("this"), place),
    ]);
    const each = (array: string) => (isPlain ? value(array) : `${array}.at(i)`);
    out.block("forEach(f, self)", [
      `for (let i = 0; i < this.#length; i++) f.call(self, ${each("this")}, i, this);`,
    ]);
    out.block("[Symbol.iterator]()", [
      "return new Elements(this.#region, this.#offset, this.#length, this);",
    ]);
    if (isNumeric(element)) {
      const copy = this.#constant("copyNumbers", copyNumbers);
      const where = `${this.#type(element)}, this.#region, this.#offset, this.#length`;
      out.block("copyTo(target)", [`return ${copy}(${where}, target, this);`]);
    }
  }

  /** The iterator of the array class: a generator would take ten times as long for each element. */
  #iterator(out: SourceWriter, element: FieldType): void {
    const size = sizeOfType(element);
    const isPlain = isScalar(element) || isComposite(element);
    const at = { offset: `this.#offset + i * ${size}`, owner: "this.#array, i" };
    const value = this.#read(element, { ...at, traits: this.#traits, aligned: !this.#isUnaligned });
    out.block("class Elements", () => {
      out.line(`${this.#memoryFields} #length; #array; #next = 0;`);
      out.block("constructor(region, offset, length, array)", [
        ...this.#keepMemory,
        "this.#length = length; this.#array = array;",
      ]);
      out.block("next()", [
        "const i = this.#next;",
        "if (i >= this.#length) return { done: true, value: undefined };",
        "this.#next = i + 1;",
        `return { done: false, value: ${isPlain ? value : "this.#array.at(i)"} };`,
      ]);
    });
    const prototype = this.#constant("IteratorPrototype", IteratorPrototype);
    out.line(`Object.setPrototypeOf(Elements.prototype, ${prototype});`);
  }

  #elementWriters(out: SourceWriter, element: FieldType): void {
    const refuse = `${this.#constant("refuseArray", refuseArray)}(this[${this.#constant("PLACE", PLACE)}]);`;
    const type = this.#type(element);
    const where = `${type}, this.#region, this.#offset, this.#length`;
    const setAll = this.#constant("storeElements", storeElements);
    const fillAll = this.#constant("fillArray", fillArray);
    out.block(
      "set(values, offset = 0)",
      this.#readOnly ? [refuse] : [`${setAll}(${where}, values, offset, this);`],
    );
    out.block(
      "fill(value)",
      this.#readOnly ? [refuse] : [`${fillAll}(${where}, value, this);`, "return this;"],
    );
  }

  /** The name under which the source reaches a value: `name`, or with a number behind it where that is another's. */
  #constant(name: string, value: unknown): string {
    const known = this.#names.get(value);
    if (known !== undefined) return known;
    let used = this.#used.get(name) ?? 0;
    let free = used === 0 ? name : `${name}${used}`;
    for (; this.#constants.has(free); free = `${name}${used}`) used++;
    this.#used.set(name, used + 1);
    this.#constants.set(free, value);
    this.#names.set(value, free);
    return free;
  }

  /** A type, by a name that is recognised; only letters and digits of its own get into the source. */
  #type(type: FieldType): string {
    return this.#constant(`type_${typeName(type).replace(/\W+/g, "_").slice(0, 40)}`, type);
  }

  #accessor(layout: Layout, member: Member): { key: string; get: string[]; set: string[] } {
    // A string, not a computed key, which would take half as long again to define.
    const key = JSON.stringify(member.name);
    if (member.via !== undefined) {
      const inner = `this[${JSON.stringify(member.via)}][${key}]`;
      return { key, get: [`return ${inner};`], set: [`${inner} = v;`] };
    }
    const refuse = () =>
      `${this.#constant("refuseWrite", refuseWrite)}(${this.#constant("layout", layout)}, ${key});`;
    return {
      key,
      get: this.#getter(layout, member),
      set: this.#readOnly ? [refuse()] : this.#setter(layout, member),
    };
  }

  #getter(layout: Layout, member: Member): string[] {
    const { type, offset, name } = member;
    const place = JSON.stringify(`${layout.name}.${name}`);
    if (isBitMember(member)) return this.#bitsGetter(layout, member, place);
    const value = this.#read(type, {
      offset: `${this.#start}${offset}`,
      owner: `${place}, 0`,
      traits: traitsOfMember(member, this.#traits),
      aligned: !this.#isUnaligned && isAligned(type, offset, layout),
    });
    if (isScalar(type) || integerOfEnum(type) !== undefined) return [`return ${value};`];
    const safe = bigintOf(type);
    if (safe !== undefined)
      return this.#safeGetter(safe, value, {
        place,
        offset: `${this.#start}${offset}`,
        member,
        aligned: isAligned(type, offset, layout),
      });
    if (!isComposite(type)) return [this.#guarded(value, place)];
    // How many elements it has changes with the member that counts them.
    const isCounted = type.kind === "array" && type.count !== undefined;
    if (isCounted || this.#slots.length >= MAX_SLOTS) return [`return ${value};`];
    const slot = `#slot${this.#slots.length}`;
    this.#slots.push(slot);
    const isHandedOut = this.#tracked && type.kind === "array" && this.#isTypedArray(type, member, layout);
    return [
      // A typed array over unmapped memory would quietly read as undefined; touching the DataView throws instead.
      ...(type.kind === "array" ? [this.#alive] : []),
      // In each transaction anew.
      ...(isHandedOut ? [`this.#region.willStore(${this.#start}${offset}, ${member.size});`] : []),
      ...(this.#fresh ? [`${BARRIER_SOURCE};`] : []),
      `const known = this.${slot};`,
      `return known === undefined ? this.${slot} = ${value} : known;`,
    ];
  }

  /** Whether a member comes as a typed array, through which anything can be stored. */
  #isTypedArray({ element }: ArrayType, member: Member, layout: Layout): boolean {
    const aligned = !this.#isUnaligned && isAligned(member.type, member.offset, layout);
    return isNumeric(element) && isTypedArray(element, traitsOfMember(member, this.#traits), aligned);
  }

  /** Returns a value that its type may refuse to show; the message then names the place. */
  #guarded(value: string, place: string): string {
    const refuse = this.#constant("unreadableAt", unreadableAt);
    return `try { return ${value}; } catch (e) { throw ${refuse}(${place}, e, this.#region); }`;
  }

  /** An expression that reads a value. */
  #read(type: FieldType, place: ValueSource): string {
    return visit(type, this.#reads, place);
  }

  readonly #reads: Visitor<string, ValueSource> = {
    ...forValues((type, place) => this.#afterBarrier(this.#readValue(type, place))),
    scalar: ({ inline }, place) => this.#afterBarrier(this.#readInline(inline, place)),
    own: (type, place) => {
      const integer = integerOfEnum(type);
      return this.#afterBarrier(
        integer === undefined ? this.#readValue(type, place) : this.#readInline(integer.inline, place),
      );
    },
    // Only a member is a bit-field, and reads itself.
    bits: () => "undefined",
    array: (type, place) => this.#readArray(type, place),
    struct: (type, place) => this.#readStruct(type, place),
    atomic: (type, { offset, owner }) => {
      const Class = type.isNumber
        ? this.#constant("Atomic", Atomic)
        : this.#constant("AtomicValue", AtomicValue);
      return `new ${Class}(this.#region, ${offset}, ${this.#type(type)}, ${owner})`;
    },
  };

  #afterBarrier(value: string): string {
    return this.#fresh ? `(${BARRIER_SOURCE}, ${value})` : value;
  }

  /** The region that memory with these traits is reached through. */
  #regionIn(traits: number): string {
    return traits === this.#traits ? "this.#region" : "this.#region.swapped";
  }

  #readStruct({ cls }: StructType, { offset, traits: outer, aligned }: ValueSource): string {
    const layout = layoutOfClass(cls);
    const traits = traitsOf(layout, outer);
    const View = this.#classes.viewClass(layout, aligned ? traits : traits | UNALIGNED);
    return `new ${this.#constant("View", View)}(${this.#regionIn(traits)}, ${offset})`;
  }

  /** What a type of another author hands out may be the memory itself, through which a store would kill the process. */
  #readValue(type: CType<unknown>, { offset, traits }: ValueSource): string {
    const region = this.#regionIn(traits);
    if (isOwnType(type)) return `${this.#type(type)}.read(${region}, ${offset})`;
    if (this.#readOnly)
      return `${this.#constant("readCopy", readCopy)}(${this.#type(type)}, ${region}, ${offset})`;
    return this.#handedOut(`${this.#type(type)}.read(${region}, ${offset})`, offset, `${type.size}`);
  }

  /** An expression for something through which these bytes can be stored to. */
  #handedOut(value: string, offset: string, byteLength: string): string {
    return this.#tracked ? `(this.#region.willStore(${offset}, ${byteLength}), ${value})` : value;
  }

  #readInline({ accessor, boolean }: Inline, place: Spot & Pick<ValueSource, "aligned">): string {
    const value =
      this.#isOwn && place.aligned && place.traits === this.#traits
        ? this.#loadOwn(accessor, place.offset)
        : this.#loadWord(accessor, place, this.#isWhole && place.aligned);
    return boolean ? `${value} !== 0` : value;
  }

  #readArray(type: ArrayType, { offset, owner, traits, aligned }: ValueSource): string {
    const { element, length } = type;
    const count = length ?? this.#flexibleLength(type, offset);
    if (isNumeric(element) && !this.#readOnly && isTypedArray(element, traits, aligned)) {
      const TypedArray = typedArrays[element.inline.accessor];
      const first = `this.#region.byteOffset + ${offset}`;
      const numbers = `new ${this.#constant(TypedArray.name, TypedArray)}(this.#region.buffer, ${first}, ${count})`;
      return this.#handedOut(numbers, offset, `${count} * ${element.size}`);
    }
    const List = this.#classes.arrayClass(element, aligned ? traits : traits | UNALIGNED);
    return `new ${this.#constant("List", List)}(${this.#regionIn(traits)}, ${offset}, ${count}, ${owner})`;
  }

  #flexibleLength({ element, count }: ArrayType, offset: string): string {
    const room = `${this.#constant("roomFor", roomFor)}(${this.#type(element)}, this.#region, ${offset})`;
    if (count === undefined) return room;
    // Whatever stands in memory: no more elements than there is memory, and none of a negative number.
    return `Math.max(0, Math.min(${room}, Number(this[${JSON.stringify(count)}])))`;
  }

  #setter(layout: Layout, member: Member): string[] {
    const { type, name } = member;
    const place = `${this.#start}${member.offset}`;
    const traits = traitsOfMember(member, this.#traits);
    const aligned = isAligned(type, member.offset, layout);
    if (isScalar(type)) return this.#storeInline(layout, name, type, { place, traits, aligned });
    if (integerOfEnum(type) !== undefined)
      return this.#storeEnum(layout, name, type as CType<unknown>, { place, traits, aligned });
    if (isBitMember(member)) return this.#bitsSetter(layout, member);
    if (isComposite(type)) {
      const storeAny = this.#constant("storeMember", storeMember);
      const constants = `${this.#constant("layout", layout)}, ${this.#constant("member", member)}`;
      return [`${storeAny}(${constants}, this.#region, this.#offset, v);`];
    }
    const safe = bigintOf(type);
    if (safe !== undefined)
      return this.#storeSafe(layout, name, type as CType<unknown>, { place, traits, aligned });
    return this.#storeValue(`${layout.name}.${name}`, type as CType<unknown>, { place, traits, aligned });
  }

  /** A bigint that is seen as a number, without the calls that other conversions take. */
  #safeGetter(
    { inline }: ScalarType<unknown, unknown>,
    value: string,
    { place, offset, member, aligned }: { place: string; offset: string; member: Member; aligned: boolean },
  ): string[] {
    const traits = traitsOfMember(member, this.#traits);
    const load = (accessor: Inline["accessor"]) =>
      this.#afterBarrier(this.#readInline({ ...inline, accessor }, { offset, traits, aligned }));
    const { words, double } = this.#halves;
    return [
      // As the bits of a floating-point number it costs no bigint. Those of a NaN need not survive; no safe one from 0 on has them.
      `${double}[0] = ${load("Float64")};`,
      `const high = ${words}[1];`,
      `if (high >= 0 && high < ${2 ** 21}) return high * ${2 ** 32} + (${words}[0] >>> 0);`,
      `const number = Number(${load(inline.accessor)});`,
      "if (Number.isSafeInteger(number)) return number;",
      this.#guarded(value, place),
    ];
  }

  #storeSafe(
    layout: Layout,
    name: string,
    type: CType<unknown>,
    { place, traits, aligned }: Destination,
  ): string[] {
    const { accessor } = (bigintOf(type) as ScalarType<unknown, unknown>).inline;
    const refuse = this.#constant("refuseValue", refuseValue);
    const what = `${this.#constant("layout", layout)}, ${JSON.stringify(name)}, ${this.#type(type)}, v`;
    const isSigned = accessor === "BigInt64";
    const { words, double } = this.#halves;
    const store = (as: Inline["accessor"], word: string) =>
      this.#storeWord(as, { offset: place, traits }, word, this.#isWhole && aligned);
    return [
      `if (!Number.isSafeInteger(v)${isSigned ? "" : " || v < 0"}) ${refuse}(${what});`,
      ...this.#saving(place, SIZES[accessor], aligned && !this.#isUnaligned),
      ...(isSigned ? [`if (v < 0) { ${store(accessor, "BigInt(v)")} return; }`] : []),
      `${words}[0] = v; ${words}[1] = v * ${2 ** -32};`,
      store("Float64", `${double}[0]`),
    ];
  }

  /** Eight private bytes as two words and as a floating-point number, by their names in the source. */
  get #halves(): { words: string; double: string } {
    return {
      words: this.#constant("ownWords", own.words),
      double: this.#constant("ownFloat64", own.Float64),
    };
  }

  #storeInline(
    layout: Layout,
    name: string,
    type: ScalarType<unknown, unknown>,
    destination: Destination,
  ): string[] {
    const { refuses, ...how } = type.inline;
    return this.#storeChecked(layout, name, type, { ...how, refuses: refuses("v") }, destination);
  }

  #storeEnum(layout: Layout, name: string, type: CType<unknown>, destination: Destination): string[] {
    const { accessor } = (integerOfEnum(type) as ScalarType<unknown, unknown>).inline;
    const refuses = this.#enumRefuses(type, () => true);
    return this.#storeChecked(layout, name, type, { accessor, refuses }, destination);
  }

  #enumRefuses(type: CType<unknown>, fits: (value: unknown) => boolean): string {
    return enumRefuses(type, fits, (values) => this.#constant("values", values));
  }

  #storeChecked(
    layout: Layout,
    name: string,
    type: CType<unknown>,
    { accessor, boolean, refuses }: Pick<Inline, "accessor" | "boolean"> & { readonly refuses: string },
    { place, traits, aligned }: Destination,
  ): string[] {
    const refuse = this.#constant("refuseValue", refuseValue);
    const what = `${this.#constant("layout", layout)}, ${JSON.stringify(name)}, ${this.#type(type)}, v`;
    return [
      `if (${refuses}) ${refuse}(${what});`,
      ...this.#saving(place, SIZES[accessor], aligned && !this.#isUnaligned),
      this.#storeWord(
        accessor,
        { offset: place, traits },
        boolean ? "v ? 1 : 0" : "v",
        this.#isWhole && aligned,
      ),
    ];
  }

  /** Text, and types of one's own; through `storeMember` it would take half as long again. */
  #storeValue(where: string, type: CType<unknown>, { place, traits }: Destination): string[] {
    const known = this.#type(type);
    const check = isOpenText(type) ? `checkIn(v, this.#region.byteLength - (${place}))` : "check(v)";
    const refuse = `throw ${this.#constant("at", at)}(${JSON.stringify(where)}, error);`;
    const room = isOpenText(type) ? `this.#region.byteLength - (${place})` : type.size;
    return [
      this.#alive,
      "let checked;",
      `try { checked = ${known}.${check}; } catch (error) { ${refuse} }`,
      ...(this.#tracked ? [`this.#region.willStore(${place}, ${room});`] : []),
      `${known}.write(${this.#regionIn(traits)}, ${place}, checked);`,
    ];
  }

  #bitSource({ align }: Layout): BitSource {
    const isWhole = (size: number, byteOffset: number) =>
      this.#isWhole && align % size === 0 && byteOffset % size === 0;
    const at = (byteOffset: number) => ({ offset: `${this.#start}${byteOffset}`, traits: this.#traits });
    return {
      littleEndian: this.#littleEndian,
      load: (accessor, byteOffset) =>
        this.#loadWord(accessor, at(byteOffset), isWhole(SIZES[accessor], byteOffset)),
      store: (accessor, byteOffset, word) =>
        [
          // Bit-fields lie anywhere in their struct.
          ...this.#saving(`${this.#start}${byteOffset}`, SIZES[accessor], SIZES[accessor] === 1),
          this.#storeWord(accessor, at(byteOffset), word, isWhole(SIZES[accessor], byteOffset)),
        ].join(" "),
    };
  }

  /** What the view keeps of its region besides it, by its name there. */
  get #memory(): string {
    return this.#isOwn ? "#cells" : "#view";
  }

  /** The fields in which a class keeps where its memory is. To be asked once all that reads it has been written. */
  get #memoryFields(): string {
    const windows = [...this.#windows].map((window) => ` #${window};`);
    return `#region; ${this.#memory}; #offset;${this.#isPlaced ? " #first;" : ""}${windows.join("")}`;
  }

  /** The statements of a constructor that set them. It keeps typed arrays as to look them up takes as long as the access. */
  get #keepMemory(): string[] {
    const memory = `this.${this.#memory} = region.${this.#memory.slice(1)};`;
    return [
      `this.#region = region; ${memory} this.#offset = offset;`,
      ...(this.#isPlaced ? ["this.#first = region.byteOffset + offset;"] : []),
      ...[...this.#windows].map((window) => `this.#${window} = region.words.${window};`),
    ];
  }

  /** Whether it uses typed arrays, which begin where the buffer does, from somewhere in it on. */
  get #isPlaced(): boolean {
    return this.#start !== "" && this.#windows.size > 0;
  }

  /** A DataView of the memory. */
  get #view(): string {
    return this.#isOwn ? "this.#region.view" : "this.#view";
  }

  /** A statement that throws once the memory is gone. */
  get #alive(): string {
    return this.#isOwn ? `this.#cells[0] ?? ${this.#constant("gone", gone)}();` : "this.#view.byteLength;";
  }

  /** What comes before a store of one number: an aligned one is in one block. */
  #saving(offset: string, size: number, aligned: boolean): string[] {
    if (!this.#tracked) return [];
    const save = `this.#tracker.willStore(${offset}, ${size});`;
    if (!aligned) return [save];
    return [`if ((${offset}) - this.#tracker.from >>> 0 >= this.#tracker.room) ${save}`];
  }

  /** Whether others may store at the same time, and aligned words lie aligned. */
  get #isWhole(): boolean {
    return this.#fresh && !this.#isUnaligned;
  }

  /** An expression that loads one number: at once, where others may be storing it. */
  #loadWord(accessor: Inline["accessor"], { offset, traits }: Spot, isWhole: boolean): string {
    const littleEndian = (traits & BIG_ENDIAN) === 0;
    if (!isWhole) return `${this.#view}.get${accessor}(${offset}, ${littleEndian})`;
    const size = SIZES[accessor];
    const shown = littleEndian || size === 1 ? accessor : size === 8 ? "BigUint64" : `Uint${size * 8}`;
    const element = `(${this.#element(shown, offset, size)} ?? ${this.#constant("gone", gone)}())`;
    if (shown === accessor && (littleEndian || size === 1)) return element;
    return `${this.#constant("turned", turned)}.load${size * 8}(${element}, "${accessor}")`;
  }

  /** An expression that loads one number of an `OwnRegion`, by whole words. */
  #loadOwn(accessor: Inline["accessor"], offset: string): string {
    const gone_ = this.#constant("gone", gone);
    const cell = (index: string) => `(this.#cells[${index}] ?? ${gone_}())`;
    const first = `${offset} >> 2`;
    if (accessor === "Int32") return cell(first);
    if (accessor === "Uint32") return `(${cell(first)} >>> 0)`;
    const bits = SIZES[accessor] * 8;
    if (bits < 32) {
      const up = `${32 - bits} - ((${offset} & 3) << 3)`;
      return `(${cell(first)} << ${up} ${accessor.startsWith("Uint") ? ">>>" : ">>"} ${32 - bits})`;
    }
    const words = this.#constant("ownWords", own.words);
    const value = this.#constant(`own${accessor}`, own[accessor as keyof typeof own]);
    const second = bits === 64 ? `${words}[1] = ${cell(`(${offset} >> 2) + 1`)}, ` : "";
    return `(${words}[0] = ${cell(first)}, ${second}${value}[0])`;
  }

  /** A statement that stores one number. */
  #storeWord(accessor: Inline["accessor"], { offset, traits }: Spot, word: string, isWhole: boolean): string {
    const littleEndian = (traits & BIG_ENDIAN) === 0;
    if (!isWhole) return `${this.#view}.set${accessor}(${offset}, ${word}, ${littleEndian});`;
    const size = SIZES[accessor];
    const isTurned = !littleEndian && size > 1;
    const stored = !isTurned ? accessor : size === 8 ? "BigUint64" : `Uint${size * 8}`;
    const value = isTurned ? `${this.#constant("turned", turned)}.store(${word}, "${accessor}")` : word;
    const element = this.#element(stored, offset, size);
    // A store to memory that is gone would be lost without a word. To load the element needs the bounds that the store needs, too,
    // so this costs nothing more; a look at the DataView takes half a nanosecond. But a bigint would be made for it.
    const look = stored.startsWith("Big") ? this.#alive : `${element} ?? ${this.#constant("gone", gone)}();`;
    return `${look} ${element} = ${value};`;
  }

  #element(accessor: string, offset: string, size: number): string {
    this.#windows.add(accessor);
    if (this.#start === "") return `this.#${accessor}[${Number(offset) / size}]`;
    const place = `this.#first + ${offset.slice(offset.indexOf("+") + 2)}`;
    return `this.#${accessor}[${size === 1 ? place : `(${place}) >>> ${Math.log2(size)}`}]`;
  }

  #bitsGetter(layout: Layout, member: BitMember, place: string): string[] {
    const bits = this.#afterBarrier(bitsExpression(member, this.#bitSource(layout)));
    const { conversion, declared } = member.type;
    if (conversion === undefined || integerOfEnum(declared) !== undefined) return [`return ${bits};`];
    return [this.#guarded(`${this.#constant("decode", conversion.decode)}(${bits})`, place)];
  }

  #bitsSetter(layout: Layout, member: BitMember): string[] {
    const { type, name } = member;
    const check = this.#constant("checkBitsOf", checkBitsOf);
    const what = `${this.#constant("layout", layout)}, ${JSON.stringify(name)}, ${this.#constant("bits", type)}, v`;
    return [
      ...this.#bitsChecked(type, (call) => `${call}${check}(${what});`),
      // The bits beside these must be those that are there now, not those of an earlier look.
      ...(this.#fresh ? [`${BARRIER_SOURCE};`] : []),
      ...bitsStatements(member, this.#bitSource(layout)),
    ];
  }

  /** Statements that refuse what the bits cannot hold, and leave the value for them in `v`. */
  #bitsChecked(type: BitsType, checking: (before: string) => string): string[] {
    if (integerOfEnum(type.declared) !== undefined) {
      const refuses = this.#enumRefuses(type.declared, (value) => fitsBits(type, value));
      return [checking(`if (${refuses}) `)];
    }
    if (type.conversion !== undefined) return [checking("v = ")];
    return [...bitsNumber(type), checking(`if (${bitsRefuse(type)}) `)];
  }
}

/** The value that the bits hold for `value`. */
function checkBitsOf(layout: Layout, name: string, type: BitsType, value: unknown): number | bigint {
  try {
    return checkBits(type, value);
  } catch (error) {
    throw at(`${layout.name}.${name}`, error);
  }
}

function fitsBits(type: BitsType, value: unknown): boolean {
  try {
    checkBits(type, value);
    return true;
  } catch {
    return false;
  }
}

/** What an `asNumber` of a built-in type is stored as. */
function bigintOf(type: FieldType): ScalarType<unknown, unknown> | undefined {
  const { asNumber, base } = type as Partial<ConvertedType<unknown>>;
  return asNumber === true && base !== undefined && isScalar(base) ? base : undefined;
}

/** Whether numbers come as a typed array: the layout says so, for all elements of an array of structs alike. */
const isTypedArray = ({ size }: ScalarType<unknown, unknown>, traits: number, aligned: boolean): boolean =>
  size === 1 || (aligned && (traits & BIG_ENDIAN) === 0);

/** What a type makes of a private copy of a field's bytes. */
function readCopy(type: CType<unknown>, region: Region, byteOffset: number): unknown {
  const copy = new Uint8Array(region.bytes.subarray(byteOffset, byteOffset + type.size));
  return type.read(new Region(copy.buffer, 0, type.size, region.traits & BIG_ENDIAN), 0);
}

/** Out of line, so that accessors stay small enough to be inlined. */
function refuseValue(layout: Layout, name: string, type: CType<unknown>, value: unknown): never {
  try {
    type.check(value);
  } catch (error) {
    throw at(`${layout.name}.${name}`, error);
  }
  throw new TypeError(`${layout.name}.${name}: ${type.name} refuses this value`);
}

function refuseWrite(layout: Layout, name: string): never {
  throw readOnlyHere(`${layout.name}.${name}`);
}

function refuseArray(place: string): never {
  throw readOnlyHere(place);
}
