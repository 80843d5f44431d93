/** Each kind of reader against each kind of writer: bun tests/soak/rewritten-text.ts [SECONDS A PAIR, 60] */
import { READERS, readWhileRewritten, WRITERS } from "../security/rewritten-text.ts";

const seconds = Number(process.argv[2] ?? 60);
let failures = 0;
for (const reader of READERS) {
  for (const writer of WRITERS) {
    const { end, reads } = await readWhileRewritten({
      ms: 1000 * seconds,
      readers: [reader],
      writers: [writer],
    });
    if (end !== "0") failures++;
    console.log(`${reader} against ${writer}: ${end === "0" ? `${reads[reader]} reads` : `DIED: ${end}`}`);
  }
}
console.log(failures === 0 ? "all readers lived" : `${failures} pairs crashed`);
process.exitCode = failures === 0 ? 0 : 1;
