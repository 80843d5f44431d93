/**
 * Class definition: decorators that record what a class declares, in either decorator style (TypeScript's legacy
 * `experimentalDecorators` or the standard ones). They define no accessor, touch no memory and compute nothing.
 */
import type {} from "reflect-metadata";
import { checkOptions } from "../../errors/check-options.ts";
import { StructDefinitionError } from "../../errors/errors.ts";
import { show } from "../../errors/show.ts";
import { CArray } from "../view/arrays.ts";
import { Atomic, AtomicValue } from "../view/atomic.ts";
import {
  array,
  BitsType,
  extendsStruct,
  type FieldType,
  fieldType,
  type StructClass,
  StructType,
} from "./composite.ts";
import { MAX_NAME_LENGTH, MAX_STRUCT_NAME_LENGTH } from "./limits.ts";
import type { Struct } from "./struct.ts";
import type { Anonymous } from "./type-utils.ts";
import {
  type CType,
  type IntegerArray,
  type IntegerType,
  integerOf,
  isNumeric,
  type ScalarType,
  typedArrays,
  valueClassOf,
} from "./types.ts";
import { forValues, type Visitor, visit } from "./visit.ts";

// Bun's standard decorators store metadata under this symbol, which must exist before the first decorated class.
if (Symbol.metadata === undefined) {
  Object.defineProperty(Symbol, "metadata", { value: Symbol.for("Symbol.metadata") });
}

export declare const DECORATES: unique symbol;

/** The largest alignment in bytes that `@struct({ align })` gives. */
export const MAX_ALIGN = 4096;

/** What was declared, by the prototype (legacy style) or the metadata object (standard style) of the class. */
const declared = new WeakMap<object, Map<string, Declaration>>();
const optionsOf = new WeakMap<StructClass, StructOptions>();

/** One decorated member, as declared. */
export interface Declaration {
  readonly name: string;
  readonly type: FieldType;
  /** The member's own members are reached through the enclosing struct (C11 anonymous members). */
  readonly anonymous?: boolean;
  readonly align?: number | undefined;
  readonly endian?: "little" | "big" | undefined;
}

/**
 * What `@field` and `@nested` take besides the type.
 * @example @field(c_uint64, { align: 64 }) counter!: bigint
 */
export interface FieldOptions {
  /** C's `alignas(n)`: at least this many bytes, a power of two up to 4096; `pack` of the struct still caps it. */
  readonly align?: number | undefined;
  /** The byte order of this member alone, and of structs in it without an order of their own. */
  readonly endian?: "little" | "big" | undefined;
}

/**
 * What `@struct` takes; the first two as gcc's attributes.
 * @example @struct({ pack: 1, endian: "big" }) class Frame extends Struct { … }
 */
export interface StructOptions {
  /** `#pragma pack(n)`: no member is aligned to more than this many bytes (1, 2, 4, 8 or 16). */
  readonly pack?: number | undefined;
  /** `__attribute__((aligned(n)))`: the struct is aligned to at least this many bytes, a power of two. */
  readonly align?: number | undefined;
  /** Byte order of all members, nested structs without an order of their own included. Default: the machine's. */
  readonly endian?: "little" | "big" | undefined;
  /** The struct has no members, and takes no bytes, as GNU C has it; without this that is taken for a mistake. */
  readonly empty?: boolean | undefined;
  /**
   * The struct's own members begin in the padding at the end of its base, as g++ and clang lay out a class whose base
   * is no plain C struct (it has a base, a constructor or private members). C, and C++ with a plain base, do not.
   */
  readonly reuseTail?: boolean | undefined;
  /** The name used in files and messages instead of the class's own: an identifier of at most 200 characters. */
  readonly name?: string | undefined;
}

/**
 * A decorator for a member declared as `Declared`. One signature for both decorator styles: of several the compiler
 * would quote the last one, and not what is wrong with the member.
 * @example
 * ```ts
 * const counter: FieldDecorator<Atomic<number>> = field(atomic(c_int32));
 * class Page extends Struct { @counter hits!: Atomic<number> }
 * ```
 */
export interface FieldDecorator<Declared> {
  <K extends PropertyKey>(
    target: undefined | { readonly [P in K]: Declared },
    context: K | ClassFieldDecoratorContext<unknown, Declared>,
  ): void;
  /** Only for the compiler. */
  readonly [DECORATES]?: Declared;
}

/**
 * Declares a member of the given type. See `FieldType` for what there is.
 * @param options alignment and byte order of this member alone
 * @throws TypeError for an option there is not
 * @throws StructDefinitionError for what is no type, and from the class for a member that is no plain field, is
 * declared twice or in a base, or (with `emitDecoratorMetadata`) as something its type does not read as
 * @example @field(c_int32) speed!: number
 */
export function field<Declared>(
  type: FieldType<Declared>,
  options: FieldOptions = {},
): FieldDecorator<Declared> {
  return recorder("@field", { type: fieldType(type, "@field"), ...checkedOptions("@field", options) });
}

function checkedOptions(where: string, options: FieldOptions): FieldOptions {
  checkOptions(where, options, { align: "any", endian: "any" });
  checkValues(where, options);
  const { align, endian } = options;
  return { ...(align !== undefined && { align }), ...(endian !== undefined && { endian }) };
}

/**
 * Declares a nested struct, or an array of `count` of them.
 * @example @nested(Point2D) position!: Point2D
 * @example @nested(Point2D, 24) path!: StructArray<Point2D>
 * @throws StructDefinitionError when given something else than a struct class, RangeError for a count that is no
 * whole number from 0 on
 */
export function nested<T extends Struct>(cls: StructClass<T>, options?: FieldOptions): FieldDecorator<T>;
export function nested<T extends Struct>(
  cls: StructClass<T>,
  count: number,
  options?: FieldOptions,
): FieldDecorator<CArray<T>>;
export function nested<T extends Struct>(
  cls: StructClass<T>,
  countOrOptions?: number | FieldOptions,
  options: FieldOptions = {},
): FieldDecorator<T> | FieldDecorator<CArray<T>> {
  const type = nestedType(cls, "@nested");
  if (typeof countOrOptions === "number") {
    const several = array(type, countOrOptions);
    return recorder<CArray<T>>("@nested", { type: several, ...checkedOptions("@nested", options) });
  }
  return recorder<T>("@nested", { type, ...checkedOptions("@nested", countOrOptions ?? options) });
}

/**
 * Declares a nested struct or union whose members are members of this one, as C11's anonymous members (6.7.2.1). What
 * it is declared as is only a handle on all of them; it is no value in `toObject`, JSON and the like.
 * @throws StructDefinitionError for what is no struct class; at the first use of the class where a member has a name
 * that is taken, or another byte order
 * @example
 * interface Value extends Payload {}
 * class Value extends Struct { @field(c_int32) kind!: number; @anonymous(Payload) payload!: Anonymous<Payload> }
 * value.asFloat = 1;   // the member of Payload
 */
export function anonymous<T extends Struct>(cls: StructClass<T>): FieldDecorator<Anonymous<T>> {
  return recorder("@anonymous", { type: nestedType(cls, "@anonymous"), anonymous: true });
}

/**
 * Declares a bit-field, packed as gcc packs it. Width 0 closes the current unit, as C's `int : 0`; such a member
 * has a name only because TypeScript wants one, and no value.
 * @param type an integer type, c_bool, or an `enumOf` or `asNumber` of an integer type
 * @param width bits, at most those of the type, 1 for c_bool
 * @throws StructDefinitionError for another type or width
 * @example @bits(c_uint32, 3) priority!: number
 */
export function bits<T extends number | bigint | boolean>(
  type: ScalarType<T, IntegerArray> | IntegerType<T>,
  width: number,
): FieldDecorator<T> {
  const known = fieldType(type, "@bits") as CType<unknown>;
  const scalar = integerOf(known)?.scalar;
  if (scalar === undefined)
    throw new StructDefinitionError(
      `@bits: expected an integer type, c_bool, or an enumOf or asNumber of one, got ${type.name}`,
    );
  const most = scalar.inline.boolean ? 1 : scalar.integer.bits;
  if (!Number.isInteger(width) || width < 0 || width > most) {
    throw new StructDefinitionError(
      `@bits(${type.name}, ${width}): the width must be a whole number from 0 to ${most}`,
    );
  }
  return recorder("@bits", { type: new BitsType(known, width) });
}

/**
 * Sets packing, alignment, byte order or name of a struct.
 * @throws TypeError for an option there is not, StructDefinitionError for a value it cannot have
 * @example @struct({ pack: 1 }) class Wire extends Struct { … }
 */
export function struct(options: StructOptions): (cls: StructClass, context?: ClassDecoratorContext) => void {
  checkOptions("@struct", options, KNOWN_OPTIONS);
  checkValues("@struct", options);
  return (cls) => void optionsOf.set(cls, Object.freeze({ ...options }));
}

/** What a class itself declares (not its bases), in order. */
export function ownDeclarations(cls: StructClass): readonly Declaration[] {
  const metadata: object | null | undefined = Object.hasOwn(cls, Symbol.metadata)
    ? (cls as { [Symbol.metadata]?: object | null })[Symbol.metadata]
    : undefined;
  const declarations = declared.get(cls.prototype) ?? (metadata && declared.get(metadata));
  return [...(declarations?.values() ?? [])];
}

/** The options of a class's own `@struct`. */
export function ownOptions(cls: StructClass): StructOptions {
  return optionsOf.get(cls) ?? {};
}

/** Declares the members of a class of the library's own. They need no check, which would take a quarter of the time of its import. */
export function declare(
  cls: StructClass,
  types: Readonly<Record<string, FieldType>>,
  options?: StructOptions,
): void {
  const members = Object.entries(types).map(([name, type]) => [name, Object.freeze({ name, type })] as const);
  declared.set(cls.prototype, new Map(members));
  if (options !== undefined) optionsOf.set(cls, Object.freeze(options));
}

const shownAs: Visitor<string> = {
  ...forValues(({ name }) => name),
  bits: () => "a bit-field",
  array: () => "an array",
  struct: ({ cls }) => cls.name,
  atomic: () => "an atomic",
};

function nestedType(cls: StructClass, where: string): FieldType {
  if (extendsStruct(cls)) return new StructType(cls);
  const given: { name: string } = cls;
  const got = typeof given === "function" ? given.name : visit(fieldType(given, where), shownAs);
  throw new StructDefinitionError(`${where}: expected a class that extends Struct, got ${got}`);
}

type Legacy = [target: object, key: PropertyKey, descriptor: PropertyDescriptor | undefined];

function recorder<Declared>(decorator: string, what: Omit<Declaration, "name">): FieldDecorator<Declared> {
  return (
    target: unknown,
    context: PropertyKey | ClassMemberDecoratorContext,
    descriptor?: PropertyDescriptor,
  ) => {
    if (typeof context === "object") recordStandard(decorator, context, what);
    else recordLegacy(decorator, [target as object, context, descriptor], what);
  };
}

function recordStandard(
  decorator: string,
  context: ClassMemberDecoratorContext,
  what: Omit<Declaration, "name">,
): void {
  const member = `${decorator} ${String(context.name)}`;
  if (context.kind !== "field") {
    const hint =
      context.kind === "accessor"
        ? "accessors run before plain fields, which would reorder the struct"
        : "only plain fields have a place in memory";
    throw new StructDefinitionError(
      `${member} is declared as ${context.kind}: ${hint}; write \`${decorator}(…) ${String(context.name)}!: type\``,
    );
  }
  if (context.static)
    throw new StructDefinitionError(`${member} is static; a struct's members belong to its instances`);
  if (context.private) throw new StructDefinitionError(`${member} is private; a view could not reach it`);
  // The metadata of a derived class inherits from its base's, so shadowing shows on the prototype chain.
  // The class has no name yet; the stack trace shows which it is.
  record(context.metadata, "this struct", { name: memberName(decorator, context.name), ...what });
}

function recordLegacy(
  decorator: string,
  [target, key, descriptor]: Legacy,
  what: Omit<Declaration, "name">,
): void {
  const name = memberName(decorator, key);
  if (typeof target === "function")
    throw new StructDefinitionError(
      `${decorator} ${name} is static; a struct's members belong to its instances`,
    );
  const className = target.constructor.name;
  if (descriptor !== undefined) {
    throw new StructDefinitionError(
      `${decorator} ${className}.${name} is an accessor or a method; only plain fields have a place in memory`,
    );
  }
  const designType: unknown = Reflect.getOwnMetadata?.("design:type", target, key as string);
  checkDeclaredType(`${className}.${name}`, what.type, designType);
  record(target, className, { name, ...what });
}

function memberName(decorator: string, key: PropertyKey): string {
  if (typeof key === "symbol")
    throw new StructDefinitionError(`${decorator} ${String(key)}: a member must have a name, not a symbol`);
  return String(key);
}

/** Names in ASCII, as most are: the tables behind the classes of the second are slow to load. */
const SIMPLE_IDENTIFIER = /^[A-Za-z_$][\w$]*$/;
const IDENTIFIER = /^[\p{ID_Start}_$][\p{ID_Continue}$]*$/u;
const isIdentifier = (name: string): boolean => SIMPLE_IDENTIFIER.test(name) || IDENTIFIER.test(name);

/** A struct's name becomes part of a file's name. */
export const isStructName = (name: unknown): name is string =>
  typeof name === "string" && name.length <= MAX_STRUCT_NAME_LENGTH && isIdentifier(name);

const TAKEN_NAMES: readonly unknown[] = ["__proto__", "constructor"];

/** Every identifier, but for the two names that JavaScript gives a meaning of its own. */
export const isMemberName = (name: string): boolean =>
  name.length <= MAX_NAME_LENGTH && isIdentifier(name) && !TAKEN_NAMES.includes(name);

/** What a name must be that is not one of those, for messages. */
export const nameMust = (name: unknown, mostLetters: number): string => {
  if (typeof name === "string" && name.length > mostLetters)
    return `must have at most ${mostLetters} characters`;
  return TAKEN_NAMES.includes(name)
    ? "must be an identifier other than constructor and __proto__, which JavaScript has in every object"
    : "must be an identifier";
};

function record(holder: object, className: string, declaration: Declaration): void {
  const { name } = declaration;
  if (!isMemberName(name)) {
    throw new StructDefinitionError(
      `${className}: ${show(name)} cannot be a member's name; it ${nameMust(name, MAX_NAME_LENGTH)}`,
    );
  }
  for (let level: object | null = holder; level !== null; level = Object.getPrototypeOf(level)) {
    if (!declared.get(level)?.has(name)) continue;
    const how = level === holder ? "is declared twice" : "is already a member of the base class";
    throw new StructDefinitionError(`${className}.${name} ${how}`);
  }
  const declarations = declared.get(holder) ?? new Map<string, Declaration>();
  declarations.set(name, Object.freeze(declaration));
  declared.set(holder, declarations);
}

/** With `emitDecoratorMetadata` the compiler tells the declared type, as far as it has a run-time name. */
function checkDeclaredType(member: string, type: FieldType, declared: unknown): void {
  if (typeof declared !== "function" || declared === Object) return;
  const possible: readonly unknown[] = declarableAs(type);
  if (possible.length === 0 || possible.includes(declared)) return;
  const [name, expected] = [declared, ...declarableAs(type)].map((f) => f?.name);
  throw new StructDefinitionError(`${member} is declared as ${name}, but its type reads as ${expected}`);
}

type Constructor = { readonly name: string };

const valuesOf: Visitor<readonly Constructor[]> = {
  ...forValues((type) => [valueClassOf(type) ?? []].flat()),
  bits: ({ declared }) => declarableAs(declared),
  array: ({ element }) => (isNumeric(element) ? [typedArrays[element.inline.accessor], CArray] : [CArray]),
  struct: ({ cls }) => basesOf(cls),
  atomic: ({ isNumber }) => (isNumber ? [Atomic, AtomicValue] : [AtomicValue]),
};

/** The constructors that a member of this type can be declared as; none when that cannot be told. */
const declarableAs = (type: FieldType): readonly Constructor[] => visit(type, valuesOf);

/** A member may be declared as what its class extends. */
function basesOf(cls: StructClass): StructClass[] {
  const base: unknown = Object.getPrototypeOf(cls);
  return typeof base === "function" && base.prototype !== undefined
    ? [cls, ...basesOf(base as unknown as StructClass)]
    : [cls];
}

const KNOWN_OPTIONS = {
  pack: "any",
  align: "any",
  endian: "any",
  name: "any",
  empty: "boolean",
  reuseTail: "boolean",
} as const;

function checkValues(where: string, { pack, align, endian, name }: StructOptions = {}): void {
  const powers = [1, 2, 4, 8, 16];
  if (pack !== undefined && !powers.includes(pack))
    throw new StructDefinitionError(`${where}: pack must be 1, 2, 4, 8 or 16, got ${pack}`);
  if (
    align !== undefined &&
    !(Number.isInteger(align) && align >= 1 && align <= MAX_ALIGN && (align & (align - 1)) === 0)
  ) {
    throw new StructDefinitionError(
      `${where}: align must be a power of two from 1 to ${MAX_ALIGN}, got ${align}`,
    );
  }
  if (endian !== undefined && endian !== "little" && endian !== "big") {
    throw new StructDefinitionError(`${where}: endian must be "little" or "big", got ${String(endian)}`);
  }
  if (name !== undefined && !isStructName(name)) {
    throw new StructDefinitionError(
      `${where}: name ${nameMust(name, MAX_STRUCT_NAME_LENGTH)}, as it becomes part of a file name, got ${show(name)}`,
    );
  }
}
