/** Random layouts of all kinds, as schemas. */
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { layoutOf, type StructClass, type StructSchema } from "../../src/struct/index.ts";
import { Models } from "../support/struct-models.ts";
import { moduleInTypeScript } from "../support/struct-sources.ts";

/** The schemas of `count` random structs, written to a module in `dir` and loaded from there. */
export async function randomSchemas(seed: number, count: number, dir: string): Promise<StructSchema[]> {
  const models = new Models(seed, `${seed}_`);
  const drafts = Array.from({ length: count }, () => ({ model: models.struct(), theirs: [], ours: [] }));
  const path = join(dir, "random.ts");
  writeFileSync(path, moduleInTypeScript(drafts, join(import.meta.dir, "../../src/struct/index.ts")));
  const classes: Record<string, StructClass> = await import(path);
  return drafts.map(({ model }) => layoutOf(classes[model.name] as StructClass));
}
