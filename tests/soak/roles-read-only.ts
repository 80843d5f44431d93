/**
 * Calls every method of a Reader and every accessor of its read-only views until all of it has long been compiled:
 *
 *     bun tests/soak/roles-read-only.ts [rounds = 1000000]      some 15 s a million and kind of lock
 */
import { Manager } from "../../src/index.ts";
import { Robot } from "../record/structs.ts";
import { runBun, TempDir } from "../record/support.ts";

const rounds = Number(process.argv[2] ?? 1_000_000);
for (const lock of ["flock", "fcntl"] as const) {
  using temp = new TempDir();
  using _ = new Manager(Robot, { dir: temp.dir, lockDir: temp.dir, create: true, lock });
  const said = await runBun("role-calls.ts", [temp.dir, rounds]); // throws for a signal
  console.log(`${lock}: ${rounds} rounds, ${said.trim()}`);
}
