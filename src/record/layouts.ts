/** The struct in a file and the class that is to work on it. */
import { loadPart } from "../errors/load.ts";
import type { Place } from "../segment/place.ts";
import type { SegmentFile } from "../segment/segment-file.ts";
import { StructType } from "../struct/declare/composite.ts";
import { MmapStructureHeader } from "../struct/declare/header.ts";
import { type Layout, layoutOfClass } from "../struct/layout/layout.ts";
import { fingerprintOf } from "../struct/schema/schema.ts";

type LayoutInFile = typeof import("./layout-in-file.ts");
let loaded: LayoutInFile | undefined;

/** Loads what reads the schema in a file, which is not looked at where the fingerprints are equal. */
export function inFile(): LayoutInFile {
  loaded ??= loadPart(() => require("./layout-in-file.ts") as LayoutInFile);
  return loaded;
}

/** A header made from a schema, or declared a second time, does as well: its bytes are what counts. */
export function hasSharedHeader({ members: [first] }: Layout): boolean {
  if (first?.name !== "header" || first.offset !== 0 || !(first.type instanceof StructType)) return false;
  if (first.type.cls === MmapStructureHeader) return true;
  return fingerprintOf(layoutOfClass(first.type.cls)) === fingerprintOf(layoutOfClass(MmapStructureHeader));
}

/**
 * Compares the struct in the file with the class. Equal fingerprints settle it; else the class must be a prefix of
 * the file's struct, field by field (a monitor that knows only the first fields may open every derived struct).
 * @param place for the hint
 * @throws LayoutMismatchError that lists what differs
 */
export function checkLayout(layout: Layout, file: SegmentFile, place?: Place): void {
  if (!isOfClass(layout, file) || file.footer?.contentBytes !== layout.size)
    inFile().checkPrefix(layout, file, place);
}

/** Whether the file was made with this very struct. */
export const isOfClass = (layout: Layout, { footer }: SegmentFile): boolean =>
  footer?.fingerprint === fingerprintOf(layout);
