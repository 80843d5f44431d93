/** Files of 16 MiB that a stranger made; all of them: bun tests/soak/hostile-files.ts */
import { expect, test } from "bun:test";
import { temporaryDirectory } from "../support/temporary.ts";
import { tryHostile } from "./hostile-files.ts";

const SOME = ["bytes", "someBigints", "everything", "deepArrays", "longLabels"];

test.skipIf(process.platform !== "linux")(
  "opening, snapshot(), toObject and live take at most a second and four times the file's bytes",
  async () => {
    using scope = temporaryDirectory();
    const taken = await Array.fromAsync(tryHostile(scope.path, SOME));
    expect(taken.map(({ name, problems }) => [name, problems])).toEqual(SOME.map((name) => [name, []]));
  },
  240_000,
);
