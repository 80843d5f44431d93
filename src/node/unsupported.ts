/** What stands for a class that needs a mapping. */
import { needsMapping } from "./libc.ts";

/** A class that throws UnsupportedError when it is called or constructed, or one of its members is. */
export function unsupported(name: string): object {
  const refuse = (what: string) => (): never => {
    throw needsMapping(what);
  };
  return new Proxy(class {}, {
    apply: refuse(name),
    construct: refuse(`new ${name}`),
    get: (target, key) =>
      typeof key === "symbol" || key === "prototype" ? Reflect.get(target, key) : refuse(`${name}.${key}`),
  });
}
