/** Files of 16 MiB that a stranger made: what it takes to open and to show them, or they are refused. */
import { join } from "node:path";
import { FILE_BYTES, HOSTILE, writeHostile } from "../support/hostile-files.ts";
import { linesOf } from "../support/tools.ts";

/** What they may take. The time is that of the processor, of which other programs take no part. */
const MAX_MS = 1000;
const MAX_BYTES = 4 * FILE_BYTES;

interface Result {
  readonly call: string;
  readonly came: string;
  readonly ms: number;
  readonly peak: number;
}

/** What opening and showing a file took at most. */
export interface Taken {
  readonly name: string;
  readonly ms: number;
  readonly bytes: number;
  readonly came: string;
  readonly problems: readonly string[];
  /** Whether all its problems are time or memory. */
  readonly tooMuch: boolean;
}

/** Inspection is not promised: for a console of people, it shows the first 64 elements of each array. */
const isPromised = ({ call }: Result): boolean => !call.startsWith("inspect");

/** How often a file that took too much is tried: how much memory a program has at most depends on when it collects. */
const TRIES = 5;

/** Makes these files in a directory, and opens them in a program of its own. @throws Error when that ends early */
export async function* tryHostile(dir: string, names: readonly string[]): AsyncGenerator<Taken> {
  writeHostile(join(dir, "small"), HOSTILE.manyEnums!());
  for (const name of names) writeHostile(join(dir, name), HOSTILE[name]!());
  for await (let taken of openAll(dir, names)) {
    for (let tries = 1; tries < TRIES && taken.tooMuch; tries++)
      for await (const again of openAll(dir, [taken.name])) taken = again;
    yield taken;
  }
}

async function* openAll(dir: string, names: readonly string[]): AsyncGenerator<Taken> {
  const small = join(dir, "small");
  const program = join(import.meta.dir, "../process/hostile-file.ts");
  const paths = names.map((name) => join(dir, name));
  const child = Bun.spawn([process.execPath, program, small, ...paths], { stdout: "pipe" });
  for await (const line of linesOf(child.stdout)) yield judged(JSON.parse(line));
  if ((await child.exited) !== 0)
    throw new Error(`the process ended with ${child.signalCode ?? child.exitCode}`);
}

function judged(said: {
  readonly path: string;
  readonly before: number;
  readonly results: readonly Result[];
}): Taken {
  const promised = said.results.filter(isPromised);
  const bytesOf = ({ peak }: Result): number => peak - said.before;
  const isWrong = (result: Result): boolean =>
    result.came.startsWith("?") || result.ms > MAX_MS || (isPromised(result) && bytesOf(result) > MAX_BYTES);
  const wrong = said.results.filter(isWrong);
  return {
    name: said.path.slice(said.path.lastIndexOf("/") + 1),
    ms: Math.max(...promised.map(({ ms }) => ms)),
    bytes: Math.max(0, ...promised.map(bytesOf)),
    came: said.results[0]!.came,
    problems: wrong.map((result) => JSON.stringify(result)),
    tooMuch: wrong.length > 0 && !wrong.some(({ came }) => came.startsWith("?")),
  };
}
