/**
 * Which test files run on the platforms other than x64 with glibc, where all do, and why the others do not. This table is the only place
 * that says so; single tests that cannot run somewhere skip by tests/support/platform.ts and tests/support/tools.ts.
 *
 *     bun scripts/platform/selection.ts NAME       the files, one a line, with the names of tests behind a tab where only these run;
 *                                                   on stderr what is left out
 */
import { existsSync } from "node:fs";
import { join } from "node:path";

const root = join(import.meta.dir, "../..");

/** A file or folder below tests/ and, for files of which only some tests run, the pattern of their names. */
type Chosen = string | readonly [path: string, onlyTests: string];
type LeftOut = readonly [path: string, why: string];

interface Selection {
  readonly tests: readonly Chosen[];
  readonly leftOut: readonly LeftOut[];
}

/** What says nothing about a platform. */
const SAME_EVERYWHERE: readonly LeftOut[] = [
  ["house.test.ts", "reads the sources"],
  ["docs.test.ts", "reads the pages"],
  ["types", "asks the compiler"],
  ["model", "a model of the protocols in plain arithmetic"],
  ["package", "packs, installs and bundles; `npm run test:package` does it with each compiler"],
  ["cli/page.test.ts", "the page in a browser"],
  ["record/life-under-load.test.ts", "measures how long readers wait on a busy machine"],
];

const SAME_TRANSPILER: LeftOut = [
  "struct-standard.test.ts",
  "the tests of structs with the other decorators: Bun's own doing, the same on each platform",
];

const SELECTIONS: Readonly<Record<string, Selection>> = {
  // The oldest supported Bun, whole.
  bun: { tests: [""], leftOut: [] },
  musl: {
    tests: [""],
    leftOut: [
      ...SAME_EVERYWHERE,
      SAME_TRANSPILER,
      ["codegen/import.test.ts", "imports glibc's headers, which musl's compiler does not take"],
    ],
  },
  // The rooms that depend on the machine: layout, system calls, locks, and the peers in C and Python. In this order, as time is limited.
  arm64: {
    tests: [
      ["interop/c.test.ts", "by gcc edits|creates a file|takes its turn|writes documents|another struct"],
      ["interop/python.test.ts", "edits, rolls back|documents"],
      "struct",
      "sys",
      "channel/channel.test.ts",
      "channel/ring.test.ts",
      "queue/queue.test.ts",
      "queue/slots.test.ts",
      "sync/rw-lock.test.ts",
      "sync/lock-page.test.ts",
      "sync/seqlock.test.ts",
      "sync/rw-lock-faults.test.ts",
      "sync/file-lock.test.ts",
      "sync/trust.test.ts",
      "sync/wait-line.test.ts",
      "mmap/memory-map.test.ts",
      "mmap/search.test.ts",
      "mmap/named.test.ts",
      "record/record-content.test.ts",
      "record/manager.test.ts",
      "record/reader.test.ts",
      "record/editor.test.ts",
      "record/session.test.ts",
      "record/open-reader.test.ts",
      "record/parts.test.ts",
      "record/changes.test.ts",
      "record/core.test.ts",
      "record/create.test.ts",
      "record/file-format.test.ts",
      "record/options.test.ts",
      "record/ownership.test.ts",
      "record/peers.test.ts",
      "record/read-only.test.ts",
      "record/snapshot-pool.test.ts",
      "record/surprises.test.ts",
      ["record/life.test.ts", "fills a file|must not be|migrate|backup|waiting|listing|info|purge|sleeps on"],
      [
        "record/ipmmap.test.ts",
        "opens as it is|rolled back|keep a file|exclude each other|force|clear|too short",
      ],
      "record/processes.test.ts",
      "posix/semaphore.test.ts",
      "posix/message-queue.test.ts",
      "posix/shared-memory.test.ts",
      "posix/messages.test.ts",
      "posix/readiness.test.ts",
      "posix/waiting.test.ts",
      "posix/errors.test.ts",
    ],
    leftOut: [
      ["struct/headers.test.ts", "compiles with gcc once more"],
      ["struct/values.test.ts", "random values by the thousand, in plain TypeScript"],
      ["struct/exchange.test.ts", "a C program and Bun storing and loading 100,000 times"],
      ["struct/reflect-metadata.test.ts", "decorators"],
      ["struct/fresh.test.ts", "what is compiled when"],
      ["sys/storage.test.ts", "fills a disk"],
      ["struct/elsewhere.test.ts", "other runtimes"],
      ["sync/notifier.test.ts", "who is woken how soon"],
      [
        "record: kills, snapshots and others",
        "kills, mass creation, strace, and endurance: emulation is 20 times slower and does not reorder",
      ],
      ["channel, queue: kills and demos", "kills"],
      ["posix, mmap: the other files", "the same system calls again, in longer runs and in more processes"],
      ["interop: the other tests", "kills by the hundred, and programs that race with Bun"],
      ["all other folders", "nothing there depends on the processor"],
    ],
  },
};

/** The selection of `musl`, `arm64` or `bun-VERSION`. */
export function selectionOf(platform: string): Selection {
  const selection = SELECTIONS[platform.startsWith("bun-") ? "bun" : platform];
  if (selection === undefined) throw new TypeError(`there is no selection for ${platform}`);
  return selection;
}

function filesOf(path: string): string[] {
  if (path.endsWith(".test.ts")) return [path];
  return [...new Bun.Glob("**/*.test.ts").scanSync(join(root, "tests", path))]
    .sort()
    .map((file) => join(path, file));
}

/** The lines that each-file.sh and `bun test` get. @throws Error when a row names no file: the table would be wrong */
export function linesOf({ tests, leftOut }: Selection): string[] {
  const isLeftOut = (file: string): boolean =>
    leftOut.some(([path]) => path === file || file.startsWith(`${path}/`));
  return tests.flatMap((chosen) => {
    const [path, onlyTests] = typeof chosen === "string" ? [chosen] : chosen;
    const files = filesOf(path).filter((file) => !isLeftOut(file));
    if (files.length === 0 || !files.every((file) => existsSync(join(root, "tests", file)))) {
      throw new Error(`scripts/platform/selection.ts: there is no test file tests/${path}`);
    }
    return files.map((file) => `./tests/${file}${onlyTests === undefined ? "" : `\t${onlyTests}`}`);
  });
}

if (import.meta.main) {
  const selection = selectionOf(process.argv[2] ?? "");
  console.log(linesOf(selection).join("\n"));
  for (const [path, why] of selection.leftOut) console.error(`(left out) ${path}: ${why}`);
}
