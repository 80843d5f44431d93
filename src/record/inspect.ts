/** Records for tools that do not have the class. */
import type {
  EditingInspector,
  InspectOptions,
  Inspector,
  InspectorType,
  Look,
} from "../segment/inspector.ts";
import { bytesOf, layoutOf } from "../struct/functions.ts";
import type { View } from "../struct/view/internals.ts";
import { plainView, unreadable } from "../struct/view/plain.ts";
import type { Editor } from "./editor.ts";
import { editBySchema, openBySchema } from "./open-by-schema.ts";
import type { AnyStruct } from "./open-reader.ts";
import type { Role } from "./role.ts";

/** A state that changes all the time is looked at so often; then the version is that of the moment before. */
const MAX_LOOKS = 8;

/** How records are inspected. */
export const recordInspector: InspectorType = {
  read: (path, { timeoutMs: _, ...trust }) => inspecting(openBySchema(path, trust)),
  write: (path, { timeoutMs, ...trust }) => editing(editBySchema(path, trust), { timeoutMs }),
};

function inspecting(role: Role<AnyStruct, unknown>): Inspector {
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
    backup: (path) => role.backup(path),
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

function editing(editor: Editor<AnyStruct>, options: Pick<InspectOptions, "timeoutMs">): EditingInspector {
  const inspector = inspecting(editor);
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
