/** What the role tests share: a directory of their own, child programs, and writers that die at a chosen moment. */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { StructClass } from "../../src/index.ts";
import { type RoleOptions, recordPlace } from "../../src/record/options.ts";
import { LEAST_BYTES, type RecordContent, recordType } from "../../src/record/record-content.ts";
import { SegmentFile } from "../../src/segment/segment-file.ts";
import type { Struct } from "../../src/struct/declare/struct.ts";
import { layoutOfClass } from "../../src/struct/layout/layout.ts";
import { programAt } from "../support/programs.ts";

/** A directory that is removed at the end of the scope. */
export class TempDir implements Disposable {
  readonly dir: string = mkdtempSync(join(tmpdir(), "shmstruct-roles-"));

  /** The path of a file in it. */
  file(name: string): string {
    return join(this.dir, name);
  }

  [Symbol.dispose](): void {
    rmSync(this.dir, { recursive: true, force: true });
  }
}

/** The record in the file of a class, as the roles open it. Close `content.file`. */
export function openRecord(
  cls: StructClass,
  options: RoleOptions,
  access: "read" | "write" = "write",
): RecordContent {
  const layout = layoutOfClass(cls);
  const place = recordPlace(layout, options);
  const type = recordType(layout, place);
  const how = { access, words: type.words, leastBytes: LEAST_BYTES, trust: { shared: true } };
  return type.open(SegmentFile.open(place.dataPath, how));
}

/** Does what a writer does that is killed in the middle of its edit: begins, stores, and is no more. */
export function dieMidEdit<T extends Struct>(
  cls: StructClass<T>,
  options: RoleOptions,
  stores: (data: T) => void,
): void {
  const content = openRecord(cls, options);
  using _ = content.file;
  content.begin();
  stores(content.view<T>(layoutOfClass(cls), content.plain));
}

/** A child program of tests/process/, its standard output piped. */
export function spawnBun(
  program: string,
  args: readonly (string | number)[] = [],
  env: Record<string, string> = {},
  stderr: "inherit" | "ignore" = "inherit",
) {
  return Bun.spawn(
    [process.execPath, programAt(join(import.meta.dir, "../process", program)), ...args.map(String)],
    {
      stdin: "pipe",
      stdout: "pipe",
      stderr,
      env: { ...process.env, ...env },
    },
  );
}

/** Runs a child program to its end and returns what it printed; fails when it failed. */
export async function runBun(
  program: string,
  args: readonly (string | number)[] = [],
  env: Record<string, string> = {},
): Promise<string> {
  const child = spawnBun(program, args, env);
  const output = await child.stdout.text();
  const exitCode = await child.exited;
  if (exitCode !== 0 || child.signalCode !== null)
    throw new Error(`${program} ended with ${child.signalCode ?? exitCode}: ${output}`);
  return output;
}
