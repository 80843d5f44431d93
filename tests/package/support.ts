/** Projects of users: folders with the packed file in node_modules, as a real copy, and settings of their own. */
import { mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { build, root } from "../support/built.ts";

export interface Finished {
  readonly exitCode: number;
  readonly output: string;
}

export function run(command: readonly string[], cwd: string, env: NodeJS.ProcessEnv = process.env): Finished {
  const { exitCode, stdout, stderr } = Bun.spawnSync([...command], {
    cwd,
    env: { ...env, NO_COLOR: "1" },
  });
  return { exitCode, output: `${stdout}${stderr}` };
}

const MANIFEST = JSON.stringify({ name: "user", private: true, type: "module" });

/** What is packed: the file, and the names in it. */
export interface Packed {
  readonly path: string;
  readonly files: readonly string[];
}

/** What `npm pack --json` says of each. */
interface NpmPacked {
  readonly filename: string;
  readonly files: readonly { readonly path: string }[];
}

/** Where the projects of one test file lie; deleted by `using`. */
export class Workshop implements Disposable {
  readonly dir: string = mkdtempSync(join(tmpdir(), "shmstruct-package-"));
  readonly packed: Packed;
  readonly #installed: string = join(this.dir, "node_modules");
  #count = 0;

  /** Installs what is packed by npm from files alone, the dependency included: nothing is fetched. */
  constructor() {
    build();
    const sources = [root, join(root, "node_modules", "reflect-metadata")];
    const [packed, dependency] = JSON.parse(this.#npm("pack", ...sources, "--json")) as [
      NpmPacked,
      NpmPacked,
    ];
    this.packed = { path: join(this.dir, packed.filename), files: packed.files.map(({ path }) => path) };
    writeFileSync(join(this.dir, "package.json"), MANIFEST);
    const files = [`./${dependency.filename}`, this.packed.path];
    this.#npm("install", "--offline", "--no-audit", "--no-fund", ...files);
  }

  /** Without scripts: `prepare` would compile again. */
  #npm(...args: string[]): string {
    const command = ["npm", ...args, "--ignore-scripts", "--loglevel=error"];
    const { exitCode, stdout, stderr } = Bun.spawnSync(command, { cwd: this.dir });
    if (exitCode !== 0) throw new Error(`${stdout}${stderr}`);
    // Its notices, such as that of a newer npm, are in the other stream.
    return stdout.toString();
  }

  /**
   * A fresh project.
   * @param compilerOptions its tsconfig.json
   * @param packages links from its node_modules into the project's own
   */
  project(compilerOptions: object, files: Record<string, string>, packages: readonly string[] = []): string {
    const dir = join(this.dir, `project-${this.#count++}`);
    mkdirSync(dir);
    // By a tenth of the time that cpSync takes.
    run(["cp", "-a", this.#installed, join(dir, "node_modules")], this.dir);
    for (const name of packages) {
      mkdirSync(dirname(join(dir, "node_modules", name)), { recursive: true });
      symlinkSync(join(root, "node_modules", name), join(dir, "node_modules", name));
    }
    // What `@types/bun` is.
    mkdirSync(join(dir, "node_modules", "@types", "bun"), { recursive: true });
    writeFileSync(
      join(dir, "node_modules", "@types", "bun", "index.d.ts"),
      '/// <reference types="bun-types" />\n',
    );
    const all = {
      "package.json": MANIFEST,
      "tsconfig.json": JSON.stringify({ compilerOptions }),
      ...files,
    };
    for (const [name, text] of Object.entries(all)) writeFileSync(join(dir, name), text);
    return dir;
  }

  [Symbol.dispose](): void {
    rmSync(this.dir, { recursive: true, force: true });
  }
}

/** The README's example. */
export function readmeExample(): { code: string; output: string } {
  const text = readFileSync(join(root, "README.md"), "utf8");
  const match = text.match(/^```ts\n(\/\/ runnable\n[\s\S]*?)^```\n\s*It prints:\s*```text\n([\s\S]*?)^```/m);
  if (!match) throw new Error("README.md has no example with its output");
  return { code: match[1]!, output: match[2]! };
}
