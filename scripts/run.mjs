// Runs on Node.js alone: installs what is missing (Bun included, from npm), then hands over to Bun.
//   node scripts/run.mjs start   the main job: the demo of a Manager, an Editor and two Readers
//   node scripts/run.mjs test    types, format, lint, all tests; those of CI_ONLY where CI is set, or files are named
//   node scripts/run.mjs build   compiles src/ into dist/; npm runs it after an install in a clone, and before packing
import { spawn, spawnSync } from "node:child_process";
import { existsSync, mkdtempSync, rmSync, statSync, utimesSync } from "node:fs";
import { availableParallelism, tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

const root = join(dirname(fileURLToPath(import.meta.url)), "..");
const bin = (name) => join(root, "node_modules", ".bin", name);

/** Runs a command in the project; returns its exit code. */
function run(command, args, options = {}) {
  const result = spawnSync(command, args, { cwd: root, stdio: "inherit", ...options });
  if (result.error) throw result.error;
  return result.status ?? 1;
}

/** The same beside others: its output is shown when it has ended. Promises its exit code. */
async function runBeside(command, args, options = {}) {
  const child = spawn(command, args, { cwd: root, stdio: ["ignore", "pipe", "pipe"], ...options });
  let output = "";
  for (const stream of [child.stdout, child.stderr])
    stream.on("data", (chunk) => {
      output += chunk;
    });
  const code = await new Promise((resolve, reject) => child.on("error", reject).on("close", resolve));
  return { code: code ?? 1, output };
}

/**
 * Types, format and lint need a core for a quarter of a minute, and tests wait a good deal: they run at the same time. The compiler
 * of types, in Go, spares a third of its time with one thread, and less collecting of garbage.
 * The tests write as they run; what the others found stands at the end.
 */
async function test(args) {
  const besides = (async () => [
    ["format and lint", await runBeside(bin("bun"), ["run", "lint"])],
    ["types", await runBeside(bin("bun"), ["run", "check"], { env: { ...process.env, GOGC: "400" } })],
  ])();
  const programs = bundlePrograms();
  const env = { ...process.env, SHMSTRUCT_TEST_PROGRAMS: programs };
  const tests = new Promise((resolve, reject) => {
    const command = ["test", `--parallel=${testWorkers}`, TIME_LIMIT, TIMINGS, ...leftOut(args), ...args];
    spawn(bin("bun"), command, { cwd: root, stdio: "inherit", env }).on("error", reject).on("close", resolve);
  });
  const failed = (await tests) === 0 ? [] : ["tests"];
  rmSync(programs, { recursive: true, force: true });
  for (const [title, { code, output }] of await besides) {
    console.log(`\n== ${title}\n${output}`);
    if (code !== 0) failed.push(title);
  }
  console.log(failed.length === 0 ? "== all passed" : `== failed: ${failed.join(", ")}`);
  process.exitCode = failed.length === 0 ? 0 : 1;
}

/** Bundles the programs that tests start into a directory, for this run only. */
function bundlePrograms() {
  const directory = mkdtempSync(join(tmpdir(), "shmstruct-programs-"));
  const code = run(bin("bun"), ["tests/support/bundle.ts", directory]);
  if (code !== 0) process.exit(code);
  return directory;
}

/** True when the folder's packages are those of its lock file. */
function isInstalled(folder) {
  const stamp = join(folder, "node_modules", ".package-lock.json");
  return existsSync(stamp) && statSync(stamp).mtimeMs >= statSync(join(folder, "package-lock.json")).mtimeMs;
}

function npm(folder, args) {
  // Quiet unless it fails: npm's notices are about npm.
  // What was asked of an npm that runs this, such as `npm pack --dry-run`, is not for this one.
  const { npm_config_dry_run: _, ...env } = process.env;
  const options = { cwd: folder, stdio: "pipe", encoding: "utf8", shell: process.platform === "win32", env };
  return spawnSync("npm", ["ci", "--no-audit", "--no-fund", "--loglevel=error", ...args], options);
}

function install() {
  if (isInstalled(root) && existsSync(bin("bun"))) return;
  console.log("installing packages (npm ci) …");
  const { status, stdout, stderr } = npm(root, []);
  if (status !== 0) {
    console.error(stdout, stderr);
    console.error("npm ci failed; the messages above say why");
    process.exit(1);
  }
  completeBun();
  const now = new Date();
  utimesSync(join(root, "node_modules", ".package-lock.json"), now, now);
}

/** npm may have been told (or have decided) to run no install scripts; Bun's puts the binary in its place. */
function completeBun() {
  if (spawnSync(bin("bun"), ["--version"]).status === 0) return;
  run(process.execPath, ["install.js"], { cwd: join(root, "node_modules", "bun") });
}

/** fs-ext is a native addon for the tests' Node peer: without a compiler its tests are skipped, visibly. */
function installNodePeer() {
  const folder = join(root, "tests", "node-peer");
  if (isInstalled(folder)) return;
  const { status } = npm(folder, []);
  if (status !== 0)
    console.log(
      "fs-ext could not be built (is there a C++ compiler?): the tests with a Node peer will be skipped",
    );
}

// For tests that name no limit of their own: 5 s are too few on a busy machine.
const TIME_LIMIT = "--timeout=240000";
// Many tests start processes of their own, or wait: half as many workers as cores, but three on a small machine.
const testWorkers = Math.max(3, Math.floor(availableParallelism() / 2));
// The slowest files begin first, so that none of them runs alone at the end.
const TIMINGS = "--timings=tests/timings.json";

/** What asks for a server or a browser, and for a minute: for `.ci/run`, or `CI=1 npm test`. */
const CI_ONLY = ["tests/mirror/**", "tests/cli/page.test.ts"];

/** The options that leave CI_ONLY out, unless those tests are asked for. */
function leftOut(args) {
  if (process.env.CI || args.length > 0) return [];
  console.log(`not run (CI=1 npm test runs them too): ${CI_ONLY.join(", ")}`);
  return CI_ONLY.map((pattern) => `--path-ignore-patterns=${pattern}`);
}

const jobs = {
  build: () => build(),
  start: () => process.exit(run(bin("bun"), ["demo/main.ts", ...process.argv.slice(3)])),
  test: () => {
    installNodePeer();
    return test(process.argv.slice(3));
  },
};

/** What `prepare` does, unless install scripts were not run. */
function build(...options) {
  completeBun();
  const code = run(bin("bun"), ["scripts/build.ts", ...options]);
  if (code !== 0) process.exit(code);
}

const job = jobs[process.argv[2]];
if (job === undefined) {
  console.error(`usage: node scripts/run.mjs ${Object.keys(jobs).join(" | ")}`);
  process.exit(2);
}
// npm builds after it has installed, but before it packs in a clone in which nothing is installed.
if (job !== jobs.build || !existsSync(join(root, "node_modules", "bun"))) {
  install();
  build("--if-needed");
}
await job();
