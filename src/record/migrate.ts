/** A file gets another struct: its values are carried over under its writer lock, and its users move over. */
import { LayoutMismatchError, MigrationError } from "../errors/errors.ts";
import { refuseAsync, refusePromise } from "../errors/sync-only.ts";
import { type CreateOptions, type NewSegment, replaceSegment, type SegmentPlan } from "../segment/create.ts";
import type { Place } from "../segment/place.ts";
import type { SegmentFile } from "../segment/segment-file.ts";
import { HEADER_CODE } from "../struct/declare/header.ts";
import type { Struct } from "../struct/declare/struct.ts";
import type { Layout } from "../struct/layout/layout.ts";
import { READ_ONLY, Region } from "../struct/memory/memory.ts";
import { makeView } from "../struct/view/view.ts";
import { carryOver, type MigratedField, type StructMemory } from "./carry-over.ts";
import { layoutBeside } from "./layout-in-file.ts";
import { checkLayout } from "./layouts.ts";
import type { AnyStruct } from "./open-reader.ts";
import type { ManagerOptionsOf } from "./options.ts";
import { RecordContent, recordType } from "./record-content.ts";
import { recordPlan } from "./record-plan.ts";

/**
 * How a file of another struct is migrated: `true` carries over every field of the same path, and refuses what would lose
 * something. A function is called after that, to fill what it could not carry over; what it leaves is lost on purpose.
 * @example const migrate: Migrate<RobotV2> = (data, old) => { data.speed = Number(old.velocity); };
 */
export type Migrate<T> = true | ((data: T, old: AnyStruct) => void);

/**
 * What opening a file with a class would mean: `"equal"` structs, the class being a `"prefix"` of the file's,
 * `"migratable"` without loss, or a migration that would be `"lossy"` without a function.
 * @example Manager.canOpen(Robot, { dir }).verdict
 */
export interface Compatibility {
  readonly verdict: "equal" | "prefix" | "migratable" | "lossy";
  /** What would happen to each field; empty where nothing is to be migrated. */
  readonly fields: readonly MigratedField[];
}

/** The committed struct of a file that becomes `own`, with the lock held or in a file that no process writes to. */
function structIn(file: SegmentFile, own: Layout): StructMemory {
  const layout = layoutBeside(own, file);
  const content = new RecordContent(file, layout);
  const { bytes } = content.copyCommitted(true) ?? { bytes: new Uint8Array(layout.size) };
  return { layout, bytes };
}

/** Compares the file's struct with a class. @throws FileFormatError for a schema that is not sound */
export function compare(layout: Layout, file: SegmentFile): Compatibility {
  if (isOpenable(layout, file)) {
    const isEqual = file.contentBytes === layout.size;
    return { verdict: isEqual ? "equal" : "prefix", fields: [] };
  }
  const fields = carryOver(structIn(file, layout), { layout, bytes: new Uint8Array(layout.size) });
  return { verdict: lostOf(fields).length === 0 ? "migratable" : "lossy", fields };
}

function isOpenable(layout: Layout, file: SegmentFile): boolean {
  try {
    checkLayout(layout, file);
    return true;
  } catch (error) {
    if (error instanceof LayoutMismatchError) return false;
    throw error;
  }
}

/**
 * Replaces the file by one of this layout, in one step, if it holds another struct.
 * @throws MigrationError that lists what would be lost; what the function throws. The file stays as it was then
 */
export function migrateFile<T>(
  layout: Layout,
  place: Place,
  options: ManagerOptionsOf<T>,
  migrate: Migrate<T>,
): void {
  if (migrate !== true) refuseAsync(migrate, "migrate");
  const how: CreateOptions = { mode: options.mode ?? 0o600, timeoutMs: options.timeoutMs, trust: options };
  replaceSegment(place, recordType(undefined, place, layout.name), how, (old) => {
    // Another Manager may have been faster.
    if (isOpenable(layout, old)) return undefined;
    const content = new RecordContent(old, layoutBeside(layout, old));
    content.repair();
    const { lockKind, transactional } = { lockKind: old.lockKind, transactional: content.transactional };
    const plan = recordPlan(layout, { lock: lockKind, transactional, ...options, init: undefined });
    return { ...plan, fill: (file) => fillMigrated(layout, { old, file, plan, migrate }) };
  });
}

/** What a restored or migrated file is filled from and with. */
export interface Filling<T> {
  readonly old: SegmentFile;
  readonly file: NewSegment;
  readonly plan: SegmentPlan;
  readonly migrate: Migrate<T>;
}

/** Fills a new file with the values of an old one. @throws MigrationError */
export function fillMigrated<T>(layout: Layout, { old, file, plan, migrate }: Filling<T>): void {
  plan.fill(file);
  const from = structIn(old, layout);
  const to = { layout, bytes: file.bytes.subarray(0, layout.size) };
  const lost = lostOf(carryOver(from, to));
  if (migrate === true) {
    if (lost.length > 0) throw lossy(old.path, layout.name, lost);
  } else {
    const data = makeView<Struct>(layout, new Region(file.bytes.buffer, 0, layout.size, 0), 0);
    const before = new Region(from.bytes.buffer, 0, from.bytes.byteLength, READ_ONLY);
    const view = makeView<Struct>(from.layout, before, 0);
    refusePromise(migrate(data as unknown as T, view as unknown as AnyStruct), "migrate");
  }
  file.bytes[0] = HEADER_CODE & 0xff;
  file.bytes[1] = HEADER_CODE >> 8;
}

const lostOf = (fields: readonly MigratedField[]): MigratedField[] =>
  fields.filter(({ fate }) => fate === "lost");

const MAX_TOLD = 20;

function lossy(path: string, name: string, lost: readonly MigratedField[]): MigrationError {
  const lines = lost.slice(0, MAX_TOLD).map(({ path: field, detail }) => `\n  - ${field}: ${detail}`);
  const more = lost.length > MAX_TOLD ? `\n  - and ${lost.length - MAX_TOLD} more` : "";
  return new MigrationError(
    path,
    lost.map(({ path: field, detail }) => `${field}: ${detail}`),
    `'${path}' cannot become ${name} without losing something:${lines.join("")}${more}\nGive migrate a function that says what becomes of these fields.`,
  );
}
