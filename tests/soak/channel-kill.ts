/** A publisher is killed 1,000 times: bun tests/soak/channel-kill.ts [KILLS]. Prints what was received, missed, torn and lost. */
import { killRun, peekRun } from "../channel/kills.ts";
import { temporaryDirectory } from "../support/temporary.ts";

const kills = Number(process.argv[2] ?? 1000);
let isWrong = false;
for (const bytes of [64, 4096]) {
  using dir = temporaryDirectory();
  const report = await killRun(dir.path, kills / 2, bytes);
  console.log(bytes, JSON.stringify(report));
  isWrong ||= report.torn > 0 || report.lost > 0 || !report.addsUp;
}
using dir = temporaryDirectory();
const control = await peekRun(dir.path, 65_536, 10);
console.log("control", JSON.stringify(control));
process.exit(isWrong || control.torn > 0 || control.control === 0 ? 1 : 0);
