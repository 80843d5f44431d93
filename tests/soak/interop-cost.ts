/**
 * What a lock, five stores and a commit cost through the C header, beside the same written by hand: `bun tests/soak/interop-cost.ts [turns]`.
 * The aim is 1.3 times. Of each the fastest of turns of 100 edits, which alternate: a busy machine interrupts most of them, not all. The floor of what the header promises is the third figure: by
 * hand, and one lseek(2) that tells whether the file was truncated.
 */
import { Manager } from "../../src/index.ts";
import { run } from "../codegen/peers.ts";
import { compilePeer } from "../interop/languages.ts";
import { Ledger } from "../interop/shared.ts";
import { temporaryDirectory } from "../support/temporary.ts";
import { hasTool } from "../support/tools.ts";

const turns = process.argv[2] ?? "4000";
using dir = temporaryDirectory();
using _ = new Manager(Ledger, { dir: dir.path, create: true });
for (const compiler of ["gcc", "clang"].filter(hasTool)) {
  const program = compilePeer(dir.path, ["-O2"], "cost.c", compiler);
  const [header, hand, looks, ratio, toLooks] = run([program, dir.path, turns], dir.path).trim().split(" ");
  console.log(
    `${compiler}: ${header} ns through the header, ${hand} ns by hand, ${ratio} times (aim 1.3): ${Number(ratio) <= 1.3 ? "met" : "missed"}; ` +
      `${looks} ns by hand with the look whether the file is whole, ${toLooks} times`,
  );
}
