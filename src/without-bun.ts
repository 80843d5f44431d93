/**
 * What runtimes other than Bun get as the main module: structs on memory of their own, in Node.js and in browser pages.
 * For every other name of the main module the build exports a stand-in, made by `needsBun`.
 */
import { UnsupportedError } from "./errors/errors.ts";

export * from "./errors/errors.ts";
export * from "./struct/index.ts";

/** Stands for a class or function, and throws UnsupportedError when it is called or constructed, or one of its members is. */
export function needsBun(name: string): object {
  const refuse = (what: string) => (): never => {
    throw new UnsupportedError(
      `${what}: shmstruct runs on Bun (https://bun.sh), as it calls libc through bun:ffi; only structs on memory of your own work elsewhere`,
    );
  };
  return new Proxy(class {}, {
    apply: refuse(name),
    construct: refuse(`new ${name}`),
    get: (target, key) =>
      typeof key === "symbol" || key === "prototype" ? Reflect.get(target, key) : refuse(`${name}.${key}`),
  });
}
