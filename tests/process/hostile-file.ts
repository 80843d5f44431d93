/**
 * Opens files of a stranger and shows them: hostile-file.ts SMALL-FILE FILE … The small one is opened first, so that all code is
 * loaded. One JSON line for each says what the calls came to, how long they took, and how much more memory they needed at most.
 */
import { readFileSync, writeFileSync } from "node:fs";
import { inspect } from "node:util";
import { openReader, ShmError, toObject } from "../../src/index.ts";

const [small, ...paths] = process.argv.slice(2) as [string, ...string[]];

const memory = (key: "VmRSS" | "VmHWM"): number =>
  1024 * Number(new RegExp(`${key}:\\s+(\\d+)`).exec(readFileSync("/proc/self/status", "utf8"))?.[1]);

/** Milliseconds for which this thread has run: other programs may have the processor meanwhile. */
const runMs = (): number => Number(readFileSync("/proc/thread-self/schedstat", "utf8").split(" ")[0]) / 1e6;

interface Result {
  readonly call: string;
  /** "ok", or the class of the error; "?" before one that is none of the library's. */
  readonly came: string;
  readonly ms: number;
  /** Resident memory at most while it ran. */
  readonly peak: number;
}

/** What the call before left is collected, and the peak begins anew. */
function beginPeak(): void {
  Bun.gc(true);
  writeFileSync("/proc/self/clear_refs", "5");
}

function attempt(call: string, results: Result[], fn: () => unknown): unknown {
  beginPeak();
  const startedAt = runMs();
  let came = "ok";
  try {
    return fn();
  } catch (error) {
    // A limit of toObject and JSON is a plain RangeError that says how to raise it.
    const isLimit = error instanceof RangeError && error.message.includes("maxValues");
    came = error instanceof ShmError || isLimit ? (error as Error).name : `? ${(error as Error).stack}`;
  } finally {
    results.push({ call, came, ms: Math.round(runMs() - startedAt), peak: memory("VmHWM") });
  }
  return undefined;
}

function look(path: string): Result[] {
  const results: Result[] = [];
  const reader = attempt("openReader", results, () => openReader(path)) as
    | ReturnType<typeof openReader>
    | undefined;
  if (reader === undefined) return results;
  const calls: Readonly<Record<string, (view: object) => unknown>> = {
    toObject: (view) => toObject(view as never),
    JSON: (view) => JSON.stringify(view),
    inspect: (view) => [Bun.inspect(view), inspect(view)],
    template: (view) => `${view}`,
  };
  const views = {
    snapshot: attempt("snapshot", results, () => reader.snapshot()),
    live: attempt("live", results, () => reader.live),
  };
  for (const [name, view] of Object.entries(views))
    for (const [call, fn] of Object.entries(calls))
      if (view !== undefined) attempt(`${call}(${name})`, results, () => fn(view as object));
  reader.close();
  return results;
}

look(small);
for (const path of paths) {
  beginPeak();
  const before = memory("VmRSS");
  const results = look(path);
  console.log(JSON.stringify({ path, before, results }));
}
process.exit(0);
