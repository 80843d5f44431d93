/**
 * The C header's tests under the tools that find what tests do not: `bun tests/soak/interop-sanitizers.ts`. One program (tests/interop/peer.c)
 * built with AddressSanitizer and UndefinedBehaviorSanitizer, with ThreadSanitizer, by gcc and by clang, and run by Valgrind, does everything that
 * it can: records, block marks, documents, channels, queues, dead letters, waits, forks; several processes at once on one file.
 */
import { join } from "node:path";
import { Publisher } from "../../src/channel/index.ts";
import { JsonMap } from "../../src/document/index.ts";
import { Manager } from "../../src/index.ts";
import { Queue } from "../../src/queue/index.ts";
import { recordType } from "../../src/record/record-content.ts";
import { recordPlan } from "../../src/record/record-plan.ts";
import { createSegment } from "../../src/segment/create.ts";
import { classPlace } from "../../src/segment/place.ts";
import { layoutOfClass } from "../../src/struct/layout/layout.ts";
import { compilePeer } from "../interop/languages.ts";
import { Item, itemOf, Ledger } from "../interop/shared.ts";
import { temporaryDirectory } from "../support/temporary.ts";
import { hasTool } from "../support/tools.ts";

const ASAN = [
  "-g",
  "-O1",
  "-fsanitize=address,undefined",
  "-fno-sanitize-recover=all",
  "-fno-omit-frame-pointer",
];
const TSAN = ["-g", "-O1", "-fsanitize=thread"];
const VALGRIND = [
  "valgrind",
  "--quiet",
  "--error-exitcode=99",
  "--leak-check=full",
  "--errors-for-leak-kinds=definite",
];
/** The compiler's flags, and what runs the program. */
const tools: [name: string, compiler: string, flags: string[], runner: string[]][] = [
  ["ASan and UBSan, gcc", "gcc", ASAN, []],
  ["ASan and UBSan, clang", "clang", ASAN, []],
  ["TSan, gcc", "gcc", TSAN, []],
  ["TSan, clang", "clang", TSAN, []],
  ["Valgrind, gcc", "gcc", ["-g", "-O1"], VALGRIND],
];

type Child = { words: string[]; ended: Promise<[number, string]> };

for (const [name, compiler, flags, runner] of tools) {
  if (!hasTool(compiler) || (runner.length > 0 && !hasTool(runner[0] as string))) {
    console.log(`${name}: not here`);
    continue;
  }
  const started = performance.now();
  using root = temporaryDirectory();
  let program: string;
  try {
    program = compilePeer(root.path, flags, "peer.c", compiler);
  } catch (error) {
    console.log(`${name}: does not link here: ${String(error).split("\n")[1]}`);
    continue;
  }
  const start = (...words: string[]): Child => {
    const child = Bun.spawn([...runner, program, ...words], {
      env: { ...process.env, LOG: join(root.path, "log") },
      stdin: "ignore",
      stdout: "ignore",
      stderr: "pipe",
    });
    const ended = Promise.all([child.exited, new Response(child.stderr).text()]);
    return { words, ended };
  };
  /** Until a program has opened what it was told. */
  const startMs = runner.length > 0 ? 3000 : 500;
  const faults: string[] = [];
  let runs = 0;
  const end = async (...children: Child[]): Promise<void> => {
    for (const { words, ended } of children) {
      const [code, text] = await ended;
      runs++;
      if (code !== 0 || /ERROR|WARNING|runtime error|definitely lost/.test(text))
        faults.push(`${words.join(" ")} ended with ${code}: ${text.slice(0, 1500)}`);
    }
  };

  const { path: dir } = root;
  await end(start("create", dir, "7"));
  await end(start("replace", dir, "7"));
  using manager = new Manager(Ledger, { dir });
  await end(start("edits", dir, "500"), start("edits", dir, "500"), start("snapshots", dir, "500"));
  await end(start("waits-for-lock", dir, "50"), start("edits", dir, "200"), start("blocks", dir, "20"));
  const watching = [start("waits", dir, "3"), start("watches", dir, "3"), start("sees", dir, "100")];
  await end(start("ticks", dir, "100"));
  const stop = setInterval(() => manager.edit((data) => data.writer++), 5);
  await end(...watching);
  clearInterval(stop);
  {
    using _ = manager.lock();
    await end(start("timeout", dir, "30"));
  }
  manager.backup(join(dir, "saved"));
  await end(start("backup", join(dir, "saved")));

  using blocks = temporaryDirectory();
  const [layout, place] = [layoutOfClass(Ledger), classPlace("Ledger", { dir: blocks.path }, "mmap")];
  createSegment(place, { ...recordPlan(layout, {}), blockBytes: 64 }, recordType(layout, place), {
    mode: 0o600,
  });
  await end(
    start("blocks", blocks.path, "200"),
    start("edits", blocks.path, "200"),
    start("snapshots", blocks.path, "300"),
  );

  using map = new JsonMap<{ n: number; copies: number[] }>({ file: join(dir, "document"), role: "master" });
  map.write({ n: 0, copies: Array.from({ length: 40 }, () => 0) });
  await end(start("reads", join(dir, "document"), "200"), start("document", join(dir, "document")));
  await end(start("document", join(dir, "document"), '{"from":"C"}'));

  new Publisher(Item, { dir, create: true, slots: 64 }).close();
  const receiving = [start("receives", dir, "2000"), start("listens", dir, "500")];
  await Bun.sleep(startMs);
  await end(start("publishes", dir, "2000"), ...receiving);

  using queue = new Queue(Item, { dir, create: true, slots: 64, maxAttempts: 2 });
  await end(
    start("pushes", dir, "0", "500"),
    start("pushes", dir, "500", "500"),
    start("takes", dir, "20000"),
    start("takes", dir, "20000"),
  );
  queue.push(itemOf(1));
  await end(start("fails", dir));
  queue.push(itemOf(1));
  const held = start("holds", dir, "1000");
  await Bun.sleep(startMs);
  queue.resize({ slots: 128 });
  await end(held);
  const seconds = Math.round((performance.now() - started) / 1000);
  console.log(`${name}: ${runs} runs, ${faults.length} with a fault (${seconds} s)`);
  for (const fault of faults) console.log(`  ${fault}`);
  if (faults.length > 0) process.exitCode = 1;
}
