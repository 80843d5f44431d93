/** Modules are called what a program imports, not after their files. */
import { Converter } from "typedoc";

/** @param {import("typedoc").Application} app */
export function load(app) {
  const modules = JSON.parse(process.env.SHMSTRUCT_MODULES ?? "[]");
  app.converter.on(Converter.EVENT_CREATE_DECLARATION, (context, reflection) => {
    if (reflection.parent !== context.project) return;
    const file = context.getSymbolFromReflection?.(reflection)?.declarations?.[0]?.getSourceFile().fileName;
    const module = modules.find(({ path }) => file?.endsWith(path));
    if (module) reflection.name = module.name;
  });
}
