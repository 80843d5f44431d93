/**
 * Structs and unions declared by an object of members: the same as a class with decorators, in one expression, so
 * that unions within structs need no class of their own.
 */
import { StructDefinitionError } from "../../errors/errors.ts";
import { show } from "../../errors/show.ts";
import { extendsStruct, type FieldType, type StructClass } from "./composite.ts";
import {
  type DECORATES,
  type FieldDecorator,
  field,
  nested,
  ownOptions,
  type StructOptions,
  struct,
} from "./decorators.ts";
import { Struct, Union } from "./struct.ts";
import type { Anonymous, Members } from "./type-utils.ts";

/** What a member may be given as: a type, a struct class, or what a decorator takes (`bits(c_uint8, 3)`). */
export type MemberSpec = FieldType | StructClass | AnyDecorator;

type AnyDecorator = ((...args: never[]) => void) & { readonly [DECORATES]?: unknown };

/** What a member given like this is declared as. */
type DeclaredBy<M> =
  M extends FieldDecorator<infer D>
    ? D
    : M extends StructClass<infer S>
      ? S
      : M extends FieldType<infer D>
        ? D
        : never;

type ToIntersection<U> = (U extends unknown ? (member: U) => void : never) extends (member: infer I) => void
  ? I
  : never;

/** The members of anonymous members, which are members of the struct around them. */
type Inlined<M> = ToIntersection<
  { [K in keyof M]: DeclaredBy<M[K]> extends Anonymous<infer T> ? Members<T> : never }[keyof M]
>;

/**
 * A struct with these members, as `structOf` and `unionOf` give it.
 * @example type Sample = DeclaredStruct<{ x: typeof c_double }>;   // Struct & { x: number }
 */
export type DeclaredStruct<M> = { -readonly [K in keyof M]: DeclaredBy<M[K]> } & Inlined<M> & Struct;

/**
 * A struct class from an object of members, in order. Extend it for methods and for a name.
 * @param options as `@struct` takes them
 * @throws StructDefinitionError for a member that is not one, or a name, type or option that a struct cannot have
 * @example
 * class Packet extends structOf({
 *   kind: c_uint8,
 *   flags: bits(c_uint8, 3),
 *   value: anonymous(unionOf({ word: c_uint32, real: c_float })),
 *   points: nested(Point, 4),
 * }) {}
 * create(Packet, { real: 1.5 }).word;
 */
export const structOf = <const M extends Readonly<Record<string, MemberSpec>>>(
  members: M,
  options: StructOptions = {},
): StructClass<DeclaredStruct<M>> => declare(Struct, "StructOf", members, options) as never;

/**
 * A union class from an object of members, as `structOf`.
 * @throws StructDefinitionError for a member that is not one, or a name, type or option that a struct cannot have
 * @example class Word extends unionOf({ whole: c_uint32, halves: array(c_uint16, 2) }) {}
 */
export const unionOf = <const M extends Readonly<Record<string, MemberSpec>>>(
  members: M,
  options: StructOptions = {},
): StructClass<DeclaredStruct<M>> => declare(Union, "UnionOf", members, options) as never;

function declare(
  Base: StructClass,
  name: string,
  members: Readonly<Record<string, MemberSpec>>,
  options: StructOptions,
): StructClass {
  const where = name === "UnionOf" ? "unionOf" : "structOf";
  if (typeof members !== "object" || members === null)
    throw new StructDefinitionError(`${where}: expected an object of members, got ${show(members)}`);
  const cls = { [name]: class extends (Base as typeof Struct) {} }[name] as unknown as StructClass;
  struct(options)(cls);
  for (const [member, spec] of Object.entries(members))
    decoratorFor(spec, `${where}.${member}`)(cls.prototype as never, member);
  return cls;
}

/** The decorator that declares a member given like this. */
function decoratorFor(spec: MemberSpec, where: string): FieldDecorator<never> {
  if (extendsStruct(spec)) return nested(spec as StructClass<never>);
  if (typeof spec === "function") return spec as FieldDecorator<never>;
  if (typeof spec === "object" && spec !== null) return field(spec as FieldType<never>);
  throw new StructDefinitionError(
    `${where}: expected a type, a struct class or a decorator, got ${show(spec)}`,
  );
}

const swapped = new WeakMap<StructClass, StructClass>();

/**
 * The same struct in big-endian byte order, nested structs without an order of their own included: a class that
 * extends it, the same one each time.
 * @throws StructDefinitionError, at its first use, for a class that has an order of its own or atomics in it
 * @example const header = viewOf(bigEndian(Header), socketData);
 */
export function bigEndian<T extends Struct>(cls: StructClass<T>): StructClass<T> {
  const known = swapped.get(cls);
  if (known !== undefined) return known as StructClass<T>;
  if (!extendsStruct(cls))
    throw new StructDefinitionError(`bigEndian: expected a class that extends Struct, got ${show(cls)}`);
  const name = ownOptions(cls).name ?? cls.name;
  const big = { [name]: class extends (cls as unknown as typeof Struct) {} }[
    name
  ] as unknown as StructClass<T>;
  struct({ ...ownOptions(cls), endian: "big" })(big);
  swapped.set(cls, big);
  return big;
}
