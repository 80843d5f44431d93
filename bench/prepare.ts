/** Peers from outside: packages from npm, C programs compiled here, Python. What cannot be had is left out, visibly. */
import { mkdirSync, mkdtempSync, readFileSync, rmSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { isQuick, type Program } from "./harness.ts";

const here = import.meta.dirname;
const peers = join(here, "peers");
const interop = join(here, "..", "interop", "c");
/** Inside node_modules, as everything there is ignored by git and made again when missing. */
const build = join(here, "node_modules", ".peers");

/** Peers that not every registry has; in bench/package.json they would keep the others from being installed. */
const ELSEWHERE: Readonly<Record<string, string>> = { "@rotu/structview": "0.10.0", bullmq: "5.81.5" };

/** Installs the packages of bench/package.json, and those that may be missing, if they are not there; the latter not for a quick run, as to look for them takes half of its time. */
export function installPackages(): void {
  if (!isNewer(join(here, "node_modules", ".package-lock.json"), join(here, "package-lock.json")))
    npm("all peers from npm", "ci");
  const names = Object.keys(ELSEWHERE);
  if (isQuick || names.every(hasPackage)) return;
  // All at once, as npm removes what it was not told of; one by one where that fails, so that the last one that is there stays.
  for (const some of [names, ...names.map((name) => [name])]) {
    const packages = some.map((name) => `${name}@${ELSEWHERE[name]}`);
    if (npm(some.join(" and "), "install", "--no-save", ...packages) && some === names) return;
  }
}

function npm(what: string, ...rest: string[]): boolean {
  const command = ["npm", ...rest, "--no-audit", "--no-fund", "--loglevel=silent"];
  const { exitCode } = Bun.spawnSync(command, { cwd: here, stdout: "inherit", stderr: "inherit" });
  if (exitCode !== 0) console.log(`${command.join(" ")} failed: rows with ${what} will be left out`);
  return exitCode === 0;
}

/** Name and version of the packages that are there. */
export function packageVersions(): string[] {
  const { optionalDependencies } = JSON.parse(readFileSync(join(here, "package.json"), "utf8"));
  return [...Object.keys(optionalDependencies), ...Object.keys(ELSEWHERE)].filter(hasPackage).map((name) => {
    const { version } = JSON.parse(readFileSync(join(here, "node_modules", name, "package.json"), "utf8"));
    return `${name} ${version}`;
  });
}

/** Whether a package is installed in bench/node_modules. */
export function hasPackage(name: string): boolean {
  try {
    Bun.resolveSync(name, here);
    return true;
  } catch {
    return false;
  }
}

/** A program from peers/<name>.c, compiled with gcc -O2 when it is not yet, or not any more, up to date. */
export function cProgram(name: string, ...args: string[]): Program {
  const [source, binary] = [join(peers, `${name}.c`), join(build, name)];
  if (Bun.which("gcc") === null) return { missing: "gcc is not installed" };
  if (!isNewer(binary, source, join(peers, "common.h"), join(interop, "shmstruct.h"))) {
    mkdirSync(build, { recursive: true });
    const flags = ["-O2", "-Wall", "-Wno-unused-function", `-I${interop}`, "-pthread"];
    const { exitCode, stderr } = Bun.spawnSync(["gcc", ...flags, "-o", binary, source]);
    if (exitCode !== 0) return { missing: `gcc refused it: ${stderr.toString()}` };
  }
  return [binary, ...args];
}

/** A program from peers/<name>.cpp, which needs Boost.Interprocess (Debian: libboost-dev). */
export const boostProgram = (name: string, ...args: string[]): Program =>
  cppProgram(name, [], "is libboost-dev there?", ...args);

/** A program from peers/<name>.cpp, which needs iceoryx (Debian: iceoryx, libiceoryx-posh-dev). */
export function iceoryxProgram(name: string): Program {
  if (Bun.which("iox-roudi") === null) return { missing: "iceoryx is not installed" };
  const folder = Bun.spawnSync(["sh", "-c", "echo /usr/include/iceoryx/v*"]).stdout.toString().trim();
  const libraries = ["-liceoryx_posh", "-liceoryx_hoofs", "-liceoryx_platform"];
  return cppProgram(name, ["-std=c++14", `-I${folder}`, ...libraries], "is libiceoryx-posh-dev there?");
}

function cppProgram(name: string, flags: readonly string[], advice: string, ...args: string[]): Program {
  const [source, binary] = [join(peers, `${name}.cpp`), join(build, name)];
  if (Bun.which("g++") === null) return { missing: "g++ is not installed" };
  if (!isNewer(binary, source)) {
    mkdirSync(build, { recursive: true });
    const { exitCode, stderr } = Bun.spawnSync(["g++", "-O2", "-o", binary, source, ...flags]);
    if (exitCode !== 0) return { missing: `g++ refused it, ${advice} ${stderr.toString().slice(0, 100)}` };
  }
  return [binary, ...args];
}

/** A program peers/<name>.py, run by a Python that has the modules it needs. */
export function pythonProgram(name: string, modules: readonly string[], ...args: string[]): Program {
  const python = pythonWith(modules);
  if (python === undefined) return { missing: `no python3 with ${modules.join(" and ")}` };
  return [python, join(peers, `${name}.py`), ...args];
}

/** The Python that has all of the modules. */
export function pythonWith(modules: readonly string[]): string | undefined {
  return ["python3", "/usr/bin/python3"].find((python) => {
    if (Bun.which(python) === null) return false;
    return Bun.spawnSync([python, "-c", `import ${["sys", ...modules].join(", ")}`]).exitCode === 0;
  });
}

/** Keeps the main thread on one processor, where that can be asked for (util-linux); the compiler's may go elsewhere. */
export function stayOn(processor: number): void {
  if (Bun.which("taskset") === null) return;
  Bun.spawnSync(["taskset", "--cpu-list", "--pid", String(processor), String(process.pid)]);
}

/** A directory of its own for `use`, removed afterwards. */
export async function inTempDir<T>(use: (dir: string) => T | Promise<T>): Promise<T> {
  const dir = mkdtempSync(join(tmpdir(), "shmstruct-bench-"));
  try {
    return await use(dir);
  } finally {
    rmSync(dir, { recursive: true, force: true });
  }
}

function isNewer(file: string, ...sources: string[]): boolean {
  const time = (path: string) => statSync(path, { throwIfNoEntry: false })?.mtimeMs ?? 0;
  return time(file) > 0 && sources.every((source) => time(file) >= time(source));
}
