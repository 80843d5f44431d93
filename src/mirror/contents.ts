/** The contents that are mirrored as a state, opened by what their file says of them. */
import { documentType } from "../document/document-content.ts";
import { documentPlace } from "../document/place.ts";
import { MirrorError } from "../errors/errors.ts";
import { classInFile, layoutInFile } from "../record/layout-in-file.ts";
import { RecordContent, recordType } from "../record/record-content.ts";
import type { Content, ContentType } from "../segment/content.ts";
import type { SegmentImage } from "../segment/create.ts";
import type { ContentKind } from "../segment/footer.ts";
import { type Place, placeOfPath } from "../segment/place.ts";
import { OF_TOOLS } from "../struct/declare/limits.ts";
import { type Layout, layoutOfClass } from "../struct/layout/layout.ts";
import { fingerprintOf, type StructSchema, schemaOf } from "../struct/schema/schema.ts";
import { parseSchemaJson } from "../struct/schema/schema-json.ts";
import { cannotConvert, conversionOf, differenceOf } from "./convert.ts";

/** Where a segment is, and how it is opened. */
export interface Mirrored {
  readonly place: Place;
  readonly type: ContentType<Content>;
}

/** @throws MirrorError for a kind that has no single state */
export function mirrored(kind: ContentKind, path: string): Mirrored {
  if (kind === "document") return { place: documentPlace({ file: path }), type: documentType };
  if (kind !== "record") throw new MirrorError(`'${path}' holds a ${kind}, which is no state`);
  const place = placeOfPath(path);
  const type = recordType(undefined, place);
  return { place, type: { ...type, open: (file) => new RecordContent(file, layoutInFile(file)) } };
}

/**
 * What makes a state from elsewhere one of this machine.
 * @throws MirrorError, FileFormatError for what no file may hold, or what cannot be converted
 */
export type Localise = (image: SegmentImage) => SegmentImage;

/**
 * How states with this description become ones of this machine: checked once, as all that come have the same.
 * @param local the layout that the local file has, if any: another machine's struct goes into that
 * @throws MirrorError, FileFormatError for what no file may hold, or what cannot be converted
 */
export function localForm(first: SegmentImage, abi: number, path: string, local?: Layout): Localise {
  const difference = differenceOf(abi);
  if (first.plan.content === "document") {
    // Text in UTF-8, and counters.
    if (difference?.isOtherOrder)
      throw cannotConvert(difference, "the counters of a document are not converted");
    return (image) => image;
  }
  const schema = schemaIn(first);
  if (difference === undefined) {
    checkRecord(first, layoutOfClass(classInFile(schema, path, { limits: OF_TOOLS })));
    return (image) => image;
  }
  // Checked before any class is made of it.
  conversionOf(schema, difference);
  const same = layoutOfClass(classInFile(schema, path, { limits: OF_TOOLS }));
  const target = local !== undefined && local.name === same.name ? local : same;
  const convert = conversionOf(schema, difference, target);
  checkRecord(first, same);
  return (image) => ({
    plan: { ...image.plan, contentBytes: target.size, fingerprint: fingerprintOf(target) },
    schema: Buffer.from(JSON.stringify(schemaOf(target))),
    copy: { version: image.copy.version, bytes: convert(image.copy.bytes) },
  });
}

function schemaIn({ schema }: SegmentImage): StructSchema {
  try {
    return parseSchemaJson(schema) as StructSchema;
  } catch (cause) {
    throw new MirrorError(`the schema of a value in the bucket cannot be read: ${cause}`);
  }
}

/** The struct must be one, and the one that the rest of the frame is about. */
function checkRecord({ plan }: SegmentImage, layout: Layout): void {
  if (fingerprintOf(layout) === plan.fingerprint && layout.size === plan.contentBytes) return;
  throw new MirrorError(
    `a value in the bucket describes a struct that its ${plan.contentBytes} bytes are not`,
  );
}
