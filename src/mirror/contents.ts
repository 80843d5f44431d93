/** The contents that are mirrored as a state, opened by what their file says of them. */
import { documentType } from "../document/document-content.ts";
import { documentPlace } from "../document/place.ts";
import { MirrorError } from "../errors/errors.ts";
import { classInFile, layoutInFile } from "../record/layouts.ts";
import { RecordContent, recordType } from "../record/record-content.ts";
import type { Content, ContentType } from "../segment/content.ts";
import type { SegmentImage } from "../segment/create.ts";
import type { ContentKind } from "../segment/footer.ts";
import { type Place, placeOfPath } from "../segment/place.ts";
import { layoutOfClass } from "../struct/layout/layout.ts";
import { fingerprintOf, type StructSchema } from "../struct/schema/schema.ts";
import { parseSchemaJson } from "../struct/schema/schema-json.ts";

/** Where a segment is, and how it is opened. */
export interface Mirrored {
  readonly place: Place;
  readonly type: ContentType<Content>;
  /** @throws MirrorError, FileFormatError for a state from elsewhere that no file may hold */
  check(image: SegmentImage): void;
}

/** @throws MirrorError for a kind that has no single state */
export function mirrored(kind: ContentKind, path: string): Mirrored {
  if (kind === "document")
    return { place: documentPlace({ file: path }), type: documentType, check: () => undefined };
  if (kind !== "record")
    throw new MirrorError(`'${path}' holds a ${kind}: only records and documents are mirrored`);
  const place = placeOfPath(path);
  const type = recordType(undefined, place);
  return {
    place,
    type: { ...type, open: (file) => new RecordContent(file, layoutInFile(file)) },
    check: (image) => checkRecord(image, path),
  };
}

/** The struct must be one, and the one that the rest of the frame is about. */
function checkRecord({ plan, schema }: SegmentImage, path: string): void {
  const described = parseSchemaJson(schema) as StructSchema;
  const layout = layoutOfClass(classInFile(described, path));
  if (fingerprintOf(layout) === plan.fingerprint && layout.size === plan.contentBytes) return;
  throw new MirrorError(
    `a value in the bucket describes a struct that its ${plan.contentBytes} bytes are not`,
  );
}
