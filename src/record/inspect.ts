/** Records for tools that do not have the class. */
import {
  type EditingInspector,
  fileCommands,
  type InspectOptions,
  type Inspector,
  type InspectorType,
  type Look,
} from "../segment/inspector.ts";
import { segmentAt } from "../segment/list.ts";
import { placeOfPath } from "../segment/place.ts";
import type { StructClass } from "../struct/declare/composite.ts";
import { bytesOf, layoutOf } from "../struct/functions.ts";
import type { View } from "../struct/view/internals.ts";
import { plainView, unreadable } from "../struct/view/plain.ts";
import type { Editor } from "./editor.ts";
import { migrateFile } from "./migrate.ts";
import { editBySchema, openBySchema } from "./open-by-schema.ts";
import type { AnyStruct } from "./open-reader.ts";
import { roleLayout } from "./options.ts";
import { recordType } from "./record-content.ts";
import type { Role } from "./role.ts";

/** A state that changes all the time is looked at so often; then the version is that of the moment before. */
const MAX_LOOKS = 8;

type Timeout = Pick<InspectOptions, "timeoutMs">;

/** How records are inspected. */
export const recordInspector: InspectorType = {
  read: (path, { timeoutMs, ...trust }) => inspecting(openBySchema(path, trust), { timeoutMs }),
  write: (path, { timeoutMs, ...trust }) => editing(editBySchema(path, trust), { timeoutMs }),
  ...fileCommands(placeOfPath, (place) => recordType(undefined, place), { transactional: true }),
  migrate: (path, cls, { isLossy, ...options }) => {
    const layout = roleLayout(cls as StructClass<AnyStruct>);
    const { version: before } = segmentAt(path) ?? { version: -1 };
    migrateFile(layout, placeOfPath(path), options, isLossy ? () => undefined : true);
    return segmentAt(path)?.version !== before;
  },
};

function inspecting(role: Role<AnyStruct, unknown>, options: Timeout): Inspector {
  let schema: Inspector["schema"];
  return {
    path: role.path,
    kind: "record",
    get version() {
      return role.version;
    },
    get schema() {
      schema ??= layoutOf(role.snapshot().constructor as never);
      return schema;
    },
    look: () => lookAt(role),
    info: () => role.info(),
    backup: (path) => role.backup(path, options),
    changes: (options) => role.changes(options) as ReturnType<Inspector["changes"]>,
    [Symbol.dispose]: () => role.close(),
  };
}

function lookAt(role: Role<AnyStruct, unknown>): Look {
  let { version } = role;
  let state = role.snapshot();
  for (let looks = 1; role.version !== version && looks < MAX_LOOKS; looks++) {
    version = role.version;
    state = role.snapshot(state);
  }
  return { version, value: plainView(state as unknown as View, { unreadable }), bytes: bytesOf(state) };
}

function editing(editor: Editor<AnyStruct>, options: Timeout): EditingInspector {
  const inspector = inspecting(editor, options);
  return Object.defineProperties(
    {
      set: (path: string, value: unknown) => editor.set(path as never, value as never, options),
      replace: (value: unknown, version: number) =>
        editor.edit((data) => {
          // With the lock held nothing is committed in between.
          if (editor.version !== version) return false;
          Object.assign(data, value);
          return true;
        }, options),
    },
    Object.getOwnPropertyDescriptors(inspector),
  ) as EditingInspector;
}
