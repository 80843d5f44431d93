/**
 * A C program stores every kind of field while we load it, and loads it while we store it, without a lock:
 * `bun tests/soak/exchange.ts [count]`, 10^8 of each kind by default. None that was not stored may be seen.
 */
import { join } from "node:path";
import { compileExchange, loadWhileCStores, storeWhileCLoads } from "../support/exchange.ts";
import { temporaryDirectory } from "../support/temporary.ts";

const count = Number(process.argv[2] ?? 1e8);
using dir = temporaryDirectory();
const exchange = compileExchange(dir.path);
const loaded = await loadWhileCStores(exchange, join(dir.path, "a"), count);
console.log(`${count} loads of each kind while C stores:`, loaded);
const stored = await storeWhileCLoads(exchange, join(dir.path, "b"), count);
console.log(`${count} stores of each kind while C loads:`, stored);
process.exit(Object.keys(loaded).length + stored.length === 0 ? 0 : 1);
