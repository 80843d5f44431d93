/** The classes that structs are declared from. They hold no memory; views made from them do. */

import { itHas } from "../validation-error.ts";
import { isView, LAYOUT } from "../view/internals.ts";

declare const KIND: unique symbol;
/** Its name stands in the compiler's complaint about a class that does not. */
declare const EXTENDS_STRUCT: unique symbol;

/**
 * Base of struct classes. Members are declared with decorators; methods and getters of the class work on every view.
 * Make one with `create(Cls)`, `viewOf(Cls, buffer)` or a role: the constructor is never run. Storing a member
 * throws TypeError for a value of another kind, on a Reader's memory and for a name that is no member, RangeError
 * for one that does not fit. Once the memory is unmapped reading and storing throw TypeError.
 * @example
 * class Point2D extends Struct {
 *   @field(c_double) x!: number;
 *   @field(c_double) y!: number;
 *   norm() { return Math.hypot(this.x, this.y); }
 * }
 */
export abstract class Struct {
  /** Only for the compiler: tells structs from other objects. */
  declare readonly [KIND]?: "struct";
  /** Only for the compiler: tells struct classes from other classes. */
  declare static readonly [EXTENDS_STRUCT]: true;

  /** @throws TypeError always: a struct has memory only where `create`, `viewOf` or a role gives it some */
  constructor() {
    const { name } = new.target;
    throw new TypeError(
      `new ${name}() would have no memory: use create(${name}, { … }) or viewOf(${name}, buffer)`,
    );
  }
}

/**
 * Behind the prototypes of all structs: only names that nothing else answers get here, so members cost nothing.
 * Stored on the view itself, a misspelt or undecorated member would swallow its value without a word.
 */
const strangers = new Proxy(Object.create(Object.prototype) as object, {
  set(target, key, value, receiver) {
    if (!isView(receiver)) return Reflect.set(target, key, value, receiver);
    const { name, members } = receiver[LAYOUT];
    throw new TypeError(
      `${name} has no field ${JSON.stringify(String(key))}, so a value stored there would not reach the memory; ` +
        `${itHas(members)} (declare others with @field(type))`,
    );
  },
});
Object.setPrototypeOf(Struct.prototype, strangers);

/**
 * Base of unions: all members begin at offset 0, and storing one changes the others. Throws as `Struct` does.
 * @example class Value extends Union { @field(c_int32) i!: number; @field(c_float) f!: number }
 */
export abstract class Union extends Struct {}

/** What every struct class has, for the compiler alone. */
export interface StructClassMark {
  readonly [EXTENDS_STRUCT]: true;
}

/** True for the types of struct classes. */
export type IsStruct<T> = typeof KIND extends keyof T ? true : false;
