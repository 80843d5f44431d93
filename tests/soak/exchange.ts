/**
 * A C program stores every kind of field while we load it, and loads it while we store it, without a lock:
 * `bun tests/soak/exchange.ts [count] [kind …]`, 10^8 loads and 10^8 stores of each kind by either side by default. A
 * value that was never stored must not be seen.
 */
import { join } from "node:path";
import { compileExchange, exchangeAll } from "../support/exchange.ts";
import { temporaryDirectory } from "../support/temporary.ts";

const [count = 1e8, ...kinds] = process.argv.slice(2);
const only = kinds.length > 0 ? kinds.map(String) : undefined;
using dir = temporaryDirectory();
const exchange = compileExchange(dir.path);
let wrongs = 0;
for await (const { kind, by, stores, loads, seen, wrong } of exchangeAll(
  exchange,
  join(dir.path, "a"),
  Number(count),
  only,
)) {
  const saw = `the one ${seen[0]}, the other ${seen[1]}, never stored ${wrong}`;
  console.log(`${kind.padEnd(8)} ${by}: stores ${stores}, loads ${loads}; ${saw}`);
  wrongs += wrong;
}
console.log(wrongs === 0 ? "no value that was not stored" : `${wrongs} values that were never stored`);
process.exitCode = wrongs === 0 ? 0 : 1;
