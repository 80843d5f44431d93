/** Documents for tools. */
import {
  type EditingInspector,
  fileCommands,
  type InspectOptions,
  type Inspector,
  type InspectorType,
  inspectSegment,
  type Look,
} from "../segment/inspector.ts";
import { type DocumentContent, documentType } from "./document-content.ts";
import { parseDocument } from "./document-format.ts";
import { JsonMap } from "./json-map.ts";
import { documentPlace } from "./place.ts";

/** How documents are inspected. */
export const documentInspector: InspectorType = {
  read: (path, options) => inspectDocument(path, options),
  write: editDocument,
  ...fileCommands(
    (file) => documentPlace({ file }),
    () => documentType,
  ),
  restore: (backup, file, options) => JsonMap.restore(backup, { file, ...options }),
};

const inspectDocument = (path: string, options: InspectOptions): Inspector =>
  inspectSegment(documentPlace({ file: path }), documentType, options, (segment) => ({
    kind: "document",
    schema: undefined,
    look: () => look(segment.whole() ?? segment.content),
  }));

/** Writers that never rest do not let a reader finish: then there is nothing to show at this moment. */
function look(content: DocumentContent): Look {
  const { version, text } = content.tryRead() ?? { version: content.version, text: undefined };
  if (text === undefined) return { version, value: undefined, bytes: undefined };
  const parts = [{ title: "text", bytes: Buffer.from(text) }];
  return { version, value: parseDocument(text, content.file.path), bytes: undefined, parts };
}

function editDocument(path: string, options: InspectOptions): EditingInspector {
  const { timeoutMs, limits: _, ...trust } = options;
  const inspector = inspectDocument(path, options);
  const master = new JsonMap<unknown>({ file: path, role: "master", create: false, ...trust });
  const writing: Omit<EditingInspector, keyof Inspector> = {
    set: (at, value) => {
      master.update((document) => withValue(document, at.split("."), value), { timeoutMs });
    },
    replace: (value, version) => {
      let isReplaced = false;
      master.update(
        (document) => {
          isReplaced = master.version === version;
          return isReplaced ? value : document;
        },
        { timeoutMs },
      );
      return isReplaced;
    },
  };
  const close = (): void => {
    master.close();
    inspector[Symbol.dispose]();
  };
  return Object.defineProperties(
    { ...writing },
    {
      ...Object.getOwnPropertyDescriptors(inspector),
      [Symbol.dispose]: { value: close },
    },
  ) as EditingInspector;
}

/** A document with a value at a path; objects on the way are made, but no elements of arrays before it. */
function withValue(node: unknown, [step, ...rest]: readonly string[], value: unknown): unknown {
  if (step === undefined) return value;
  if (Array.isArray(node)) {
    const index = Number(step);
    if (!/^\d+$/.test(step) || index > node.length)
      throw new RangeError(
        `${JSON.stringify(step)} must be an index from 0 to ${node.length}, where a new element goes`,
      );
    const copy: unknown[] = [...node];
    copy[index] = withValue(copy[index], rest, value);
    return copy;
  }
  if (node !== undefined && (typeof node !== "object" || node === null))
    throw new TypeError(`${JSON.stringify(step)} leads nowhere: ${JSON.stringify(node)} has no members`);
  // Not by assignment: "__proto__" is a member like any other.
  const members = new Map(Object.entries(node ?? {}));
  return Object.fromEntries(members.set(step, withValue(members.get(step), rest, value)));
}
