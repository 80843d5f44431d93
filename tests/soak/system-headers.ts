/**
 * Imports the system's own headers: `bun tests/soak/system-headers.ts [header …]`. For each header: how many structs it declares, how many of
 * them agree with `offsetof` on every member, and which are refused, with the reason. The same as the tests do, with the counts.
 */
import { importHeader } from "../../src/codegen/index.ts";
import { offsetsInC } from "../codegen/offsets.ts";
import { temporaryDirectory } from "../support/temporary.ts";

const HEADERS = ["input", "io_uring", "perf_event", "tcp", "videodev2"].map((name) => `linux/${name}.h`);
const headers = process.argv.length > 2 ? process.argv.slice(2) : [...HEADERS, "elf.h", "utmp.h"];
/** The headers in bits/ that utmp.h includes declare its structs. */
const INCLUDED: Readonly<Record<string, string[]>> = { "utmp.h": ["utmp", "lastlog", "exit_status"] };

console.log("| header | structs | agree on every member | refused |\n| --- | --- | --- | --- |");
let [all, agreeing] = [0, 0];
for (const name of headers) {
  using dir = temporaryDirectory();
  const header = `/usr/include/${name}`;
  const { structs, refused } = importHeader(header, { structs: INCLUDED[name], compiler: "gcc" });
  const different = offsetsInC(structs, header, dir.path, "gcc");
  const wrong = new Set(different.map((line) => line.split(/[ .:]/)[0]));
  all += structs.length + refused.length;
  agreeing += structs.length - wrong.size;
  const reasons = refused.map((one) => `${one.name}: ${one.reason}`).join("; ");
  console.log(
    `| ${name} | ${structs.length + refused.length} | ${structs.length - wrong.size} | ${reasons || "none"} |`,
  );
  for (const line of different) console.log(`DIFFERENT: ${line}`);
}
console.log(`${agreeing} of ${all} structs agree on every member`);
process.exitCode = agreeing === all ? 0 : 1;
