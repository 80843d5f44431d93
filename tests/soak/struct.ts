/**
 * Random structs against gcc and ctypes: `bun tests/soak/struct.ts [count]`, 10,000 by default. SEED repeats a run;
 * run it in tests/standard for the standard decorators.
 */
import { seedOfRun } from "../support/random.ts";
import { refereeStructs } from "../support/struct-referees.ts";

const count = Number(process.argv[2] ?? 10_000);
const seed = seedOfRun();
const batch = 250;
console.log(`${count} structs from SEED=${seed}`);

let [structs, ctypes, ctypesDiffers] = [0, 0, 0];
for (let i = 0; structs < count; i++) {
  const tally = await refereeStructs(seed + i, Math.min(batch, count - structs));
  structs += tally.structs;
  ctypes += tally.ctypes;
  ctypesDiffers += tally.ctypesDiffers;
  if (i % 10 === 9) console.log(`${structs} agree with gcc, ${ctypes} of them with ctypes as well`);
}
console.log(
  `all ${structs} agree with gcc, ${ctypes} of them with ctypes as well; ${ctypesDiffers} with bit-fields that ctypes`,
);
console.log("lays out in its own way, the rest beyond what ctypes can say");
