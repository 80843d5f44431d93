/** Modules are called what a program imports, not after their files; and the first code of the site is coloured as all other. */
import { Converter, PageEvent, ReflectionKind } from "typedoc";

/**
 * The highlighter gives up a line that takes longer than half a second, and a language's first line does on a busy machine: it
 * then had the colour of the comment before it. So each language has its first line where no one sees it.
 */
const FIRST_LINES = {
  ts: 'import { a } from "b";\n@field(c_int32) x!: number;',
  c: "#include <stdio.h>\nint main(void) { return 0; }",
  python: 'from a import b\nprint("x")',
  sh: "cd a && bun init -y",
  json: '{ "a": 1 }',
};
const TIMES = 3;

/** @param {import("typedoc").Application} app */
function warmUp(app) {
  const blocks = Object.entries(FIRST_LINES).map(([language, code]) => `\`\`\`${language}\n${code}\n\`\`\``);
  let isWarm = false;
  app.renderer.on(PageEvent.BEGIN, (page) => {
    if (isWarm) return;
    isWarm = true;
    const context = app.renderer.theme?.getRenderContext(page);
    for (let i = 0; i < TIMES; i++) context?.markdown([{ kind: "text", text: blocks.join("\n\n") }]);
  });
}

/** @param {import("typedoc").Application} app */
export function load(app) {
  warmUp(app);
  // Each signature of a function has its own comment; with several, TypeDoc also shows what stands above the export of the room.
  app.converter.on(Converter.EVENT_RESOLVE_BEGIN, ({ project }) => {
    for (const reflection of project.getReflectionsByKind(ReflectionKind.Function)) delete reflection.comment;
  });
  const modules = JSON.parse(process.env.SHMSTRUCT_MODULES ?? "[]");
  app.converter.on(Converter.EVENT_CREATE_DECLARATION, (context, reflection) => {
    if (reflection.parent !== context.project) return;
    const file = context.getSymbolFromReflection?.(reflection)?.declarations?.[0]?.getSourceFile().fileName;
    const module = modules.find(({ path }) => file?.endsWith(path));
    if (module) reflection.name = module.name;
  });
}
