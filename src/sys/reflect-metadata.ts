/**
 * With emitDecoratorMetadata each decorated member asks for Reflect.metadata, which reflect-metadata provides. It is
 * loaded when something asks: without that option nothing does, and its 2 ms are saved. Imported for its effect by the
 * main module.
 */
import type {} from "reflect-metadata";

if (!("metadata" in Reflect)) {
  const define = (value: unknown) =>
    Object.defineProperty(Reflect, "metadata", { value, writable: true, configurable: true });
  Object.defineProperty(Reflect, "metadata", {
    get() {
      define(undefined);
      require("reflect-metadata");
      return Reflect.metadata;
    },
    set: define,
    configurable: true,
  });
}
