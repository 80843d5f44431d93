/** Compilers as judges of what was exported. */
import { writeFileSync } from "node:fs";
import { join } from "node:path";

/** Runs a command; what it prints. @throws Error with what it says when it fails */
export function run(command: string[], cwd: string): string {
  const { exitCode, stdout, stderr } = Bun.spawnSync(command, { cwd, stdout: "pipe", stderr: "pipe" });
  if (exitCode === 0) return stdout.toString();
  throw new Error(`${command.join(" ")} ended with ${exitCode}:\n${stderr.toString().slice(0, 4000)}`);
}

const STRICT = ["-Wall", "-Wextra", "-Wpedantic", "-Werror", "-Wconversion", "-fsyntax-only"];

/** Compiles headers together under strict flags: their own asserts are the test. */
export function compileHeaders(compiler: string, texts: ReadonlyMap<string, string>, dir: string): void {
  const isCpp = compiler.includes("++");
  const extension = isCpp ? "hpp" : "h";
  for (const [name, text] of texts) writeFileSync(join(dir, `${name}.${extension}`), text);
  const unit = [...texts.keys()].map((name) => `#include "${name}.${extension}"`).join("\n");
  writeFileSync(join(dir, `all.${isCpp ? "cc" : "c"}`), `${unit}\n`);
  run([compiler, isCpp ? "-std=c++17" : "-std=c11", ...STRICT, `all.${isCpp ? "cc" : "c"}`], dir);
}

/** Loads modules in one Python: their asserts are the test; warnings are errors. */
export function loadInPython(texts: ReadonlyMap<string, string>, dir: string): void {
  for (const [name, text] of texts) writeFileSync(join(dir, `${name}.py`), text);
  const imports = [...texts.keys()].map((name) => `import ${name}`).join("\n");
  writeFileSync(join(dir, "all.py"), `${imports}\n`);
  run(["python3", "-W", "error", "all.py"], dir);
}

/** Compiles modules in one crate: their const asserts are the test. */
export function compileInRust(texts: ReadonlyMap<string, string>, dir: string): void {
  for (const [name, text] of texts) writeFileSync(join(dir, `${name}.rs`), text);
  const modules = [...texts.keys()].map((name) => `#[path = "${name}.rs"] mod m${name};`).join("\n");
  writeFileSync(join(dir, "all.rs"), `${modules}\nfn main() {}\n`);
  run(
    ["rustc", "--edition", "2021", "--emit", "metadata", "-D", "warnings", "-A", "dead_code", "all.rs"],
    dir,
  );
}
