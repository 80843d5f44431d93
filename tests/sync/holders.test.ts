/** Holders that the kernel does not name: processes of another pid namespace, as of another container. */
import { expect, test } from "bun:test";
import { join } from "node:path";
import { RwLock } from "../../src/sync/rw-lock.ts";
import { temporaryDirectory } from "../support/temporary.ts";

const inOtherNamespace = ["unshare", "--user", "--map-root-user", "--pid", "--fork", "--mount-proc"];
const isPossible =
  Bun.which("unshare") !== null && Bun.spawnSync([...inOtherNamespace, "true"]).exitCode === 0;

const program = `
  import { RwLock } from ${JSON.stringify(join(import.meta.dir, "../../src/sync/rw-lock.ts"))};
  using lock = new RwLock({ path: process.argv[1], kind: process.argv[2] });
  try { lock.acquire("exclusive", { timeoutMs: 20 }); } catch (error) { console.log(error.message); }
`;

test.skipIf(!isPossible).each([
  [
    "flock",
    "the kernel names no holder: it let go just now, or is in another container or on another machine",
  ],
  ["fcntl", "held by a process that cannot be seen from here"],
] as const)(
  "a timeout tells of a holder of kind %s in another pid namespace (needs unshare)",
  (kind, said) => {
    using scope = temporaryDirectory();
    const path = join(scope.path, "x.lock");
    using mine = new RwLock({ path, kind, create: true });
    mine.acquire("exclusive");
    const { stdout } = Bun.spawnSync([...inOtherNamespace, process.execPath, "-e", program, path, kind], {
      env: { ...process.env, BUN_RUNTIME_TRANSPILER_CACHE_PATH: "0" },
    });
    expect(stdout.toString().trim()).toBe(`no exclusive lock on '${path}' within 20 ms: ${said}`);
  },
);
