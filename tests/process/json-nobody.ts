/** Started by root, with a directory: makes documents there and uses them as nobody, a user without rights. */
import { chmodSync, readdirSync } from "node:fs";
import { join } from "node:path";
import { documentWords } from "../../src/document/document-format.ts";
import { JsonMap, type JsonMaster, SystemError } from "../../src/document/index.ts";
import { SegmentFile } from "../../src/segment/segment-file.ts";

const dir = process.argv[2]!;

function become(user: number): void {
  process.seteuid!(user);
}

async function outcomeOf(call: () => unknown): Promise<string> {
  try {
    return JSON.stringify(await call());
  } catch (error) {
    return error instanceof SystemError ? `${error.syscall} ${error.code}` : String(error);
  }
}

/** A document that may be read by everybody, as its mode says. */
async function follow(): Promise<void> {
  process.umask(0o077);
  chmodSync(dir, 0o755);
  using master = new JsonMap({ dir, file: "d", role: "master", mode: 0o644 });
  master.write(1);
  become(65534);
  using follower = new JsonMap({ dir, file: "d", role: "follower" });
  console.log(await outcomeOf(() => follower.read()));
  console.log(await outcomeOf(() => follower.waitForFirst({ timeoutMs: 60_000 })));
  console.log(await outcomeOf(() => follower.changes({ initial: true }).next()));
}

/** A document that may be written by everybody, in a directory where its name may not be taken (sticky). */
async function inVain(call: (master: JsonMaster<string>) => void): Promise<void> {
  chmodSync(dir, 0o1777);
  using owner = new JsonMap<string>({ dir, file: "d", role: "master", maxBytes: 100, mode: 0o666 });
  owner.write("first");
  become(65534);
  using master = new JsonMap<string>({ dir, file: "d", role: "master", grow: true, shared: true });
  console.log(await outcomeOf(() => call(master)));
  using file = SegmentFile.open(join(dir, "d"), {
    access: "read",
    words: documentWords,
    leastBytes: 1,
    trust: { shared: true },
  });
  console.log(file.isSuperseded ? "superseded" : "in use");
  console.log(readdirSync(dir).toSorted().join(" "));
}

const programs: Record<string, () => Promise<void>> = {
  follow,
  remove: () => inVain((master) => master.remove()),
  grow: () => inVain((master) => master.write("x".repeat(1000))),
};
await programs[process.argv[3]!]!();
