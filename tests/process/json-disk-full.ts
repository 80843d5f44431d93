/** In /mnt, a file system of 256 KB: documents that are too large for the disk. */
import { readdirSync } from "node:fs";
import { JsonMap, SystemError } from "../../src/document/index.ts";

function codeOf(call: () => unknown): string {
  try {
    call();
    return "nothing";
  } catch (error) {
    return error instanceof SystemError ? error.code : String(error);
  }
}

const beside = (...names: string[]) =>
  readdirSync("/mnt")
    .filter((name) => !names.includes(name))
    .toSorted();

const atCreation = codeOf(() => new JsonMap({ file: "/mnt/large", role: "master", maxBytes: 1_000_000 }));
const left = beside("large.lock", "large.lock-page");
console.log(`${atCreation} at the creation, ${left.length === 0 ? "nothing" : left} left behind`);

using master = new JsonMap<string>({ file: "/mnt/d", role: "master", maxBytes: 100, grow: true });
using follower = new JsonMap<string>({ file: "/mnt/d", role: "follower" });
master.write("first");
const atGrowth = codeOf(() => master.write("x".repeat(200_000)));
const others = beside("large.lock", "large.lock-page", "d");
console.log(`${atGrowth} while growing, still ${follower.read()}; beside it: ${others.join(", ")}`);
master.write("second");
console.log(`${follower.read()} after that`);
