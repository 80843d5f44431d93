/** What file a record wants. */
import { refuseAsync, refusePromise } from "../errors/sync-only.ts";
import type { NewSegment, SegmentPlan } from "../segment/create.ts";
import { HEADER_CODE, type MmapStructure } from "../struct/declare/header.ts";
import { viewAt } from "../struct/functions.ts";
import type { Layout } from "../struct/layout/layout.ts";
import { atomicRanges } from "../struct/layout/plain-ranges.ts";
import { Region } from "../struct/memory/memory.ts";
import { fingerprintOf, schemaOf } from "../struct/schema/schema.ts";
import { checkMode } from "../sys/arguments.ts";
import type { ManagerOptions, ManagerOptionsOf } from "./options.ts";

/**
 * The plan of a new file for this layout.
 * @throws TypeError for options that contradict each other; StructDefinitionError for a struct whose atomics are too
 *   scattered for a file; RangeError for an impossible mode
 */
export function recordPlan<T>(layout: Layout, options: ManagerOptionsOf<T>): SegmentPlan {
  checkPlanOptions(options);
  const { lock = "flock", transactional = lock === "flock", init } = options;
  if (init !== undefined) refuseAsync(init, "init");
  // Every user of the file needs them.
  atomicRanges(layout);
  return {
    content: "record",
    lockKind: lock,
    transactional,
    contentBytes: layout.size,
    fingerprint: fingerprintOf(layout),
    schema: schemaOf(layout),
    name: layout.name,
    fill(file) {
      file.bytes[0] = HEADER_CODE & 0xff;
      file.bytes[1] = HEADER_CODE >> 8;
      if (init !== undefined) initialise(layout, file, init);
    },
  };
}

function initialise<T>(layout: Layout, { bytes }: NewSegment, init: (data: T) => void): void {
  const region = new Region(bytes.buffer, 0, layout.size, 0);
  const data = viewAt(layout.cls as never, region, 0) as unknown as MmapStructure;
  refusePromise(init(data as unknown as T), "init");
  data.header.header_code = HEADER_CODE;
  data.header.time_stamp = Date.now() / 1000;
}

function checkPlanOptions({ lock = "flock", transactional, mode }: ManagerOptions): void {
  if (lock !== "flock" && lock !== "fcntl")
    throw new TypeError(`lock must be "flock" or "fcntl", got ${JSON.stringify(lock)}`);
  if (lock === "fcntl" && transactional) {
    throw new TypeError(
      'transactional: true needs lock: "flock": an undo by the next writer could destroy what a Python peer wrote',
    );
  }
  checkMode(mode);
}
