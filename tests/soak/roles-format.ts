/**
 * Opens damaged and hostile files: a clear error or a correct open, never a crash, a hang or a foreign exception.
 *
 *     bun tests/soak/roles-format.ts [mutations = 100000]      SEED=… repeats a run
 */
import { mutateAndOpen, ROBOT_FILE } from "../record/mutations.ts";
import { TempDir } from "../record/support.ts";
import { randomFrom, seedOfRun } from "../support/random.ts";

const mutations = Number(process.argv[2] ?? 100_000);
const seed = seedOfRun();
console.log(`SEED=${seed}, ${mutations} mutations`);
using temp = new TempDir();
console.log(mutateAndOpen(temp.dir, mutations, ROBOT_FILE.randomMutation(randomFrom(seed))));
