/** Setting what a user typed. */
import type { EditingInspector } from "../segment/inspector.ts";
import { type Found, follow, parseValue } from "./paths.ts";

/**
 * Sets a value at a dotted path, from text of the form that the type there has.
 * @throws NotFoundError, UsageError, and what `inspector.set` throws
 */
export function setText(inspector: EditingInspector, path: string, text: string): void {
  inspector.set(path, parseValue(text, valueAt(inspector, path)));
}

/** What is at the path; of a document, where members may be added, perhaps nothing. */
function valueAt(inspector: EditingInspector, path: string): Found {
  const { value } = inspector.look();
  if (inspector.schema !== undefined) return follow(value, inspector.schema, path);
  // What was text stays no text by chance only: a document takes JSON.
  return { value: undefined, type: undefined };
}
