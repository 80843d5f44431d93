/** Files of 16 MiB that a stranger made, and what each takes: bun tests/soak/hostile-files.ts */
import { tryHostile } from "../security/hostile-files.ts";
import { HOSTILE } from "../support/hostile-files.ts";
import { temporaryDirectory } from "../support/temporary.ts";

using scope = temporaryDirectory();
let problems = 0;
for await (const { name, ms, bytes, came, problems: wrong } of tryHostile(scope.path, Object.keys(HOSTILE))) {
  console.log(
    `${name.padEnd(16)} ${came.padEnd(16)} ${ms} ms ${(bytes / 2 ** 20).toFixed(1)} MiB ${wrong.join(" ")}`,
  );
  problems += wrong.length;
}
console.log(`${new Date().toISOString()}: ${Object.keys(HOSTILE).length} files, ${problems} problems`);
process.exitCode = problems === 0 ? 0 : 1;
