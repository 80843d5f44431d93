/** What the library knows of a view, and no one else can reach by name. */

import type { Struct } from "../declare/struct.ts";
import type { Layout } from "../layout/layout.ts";
import type { Region } from "../memory/memory.ts";

/** Keys of what the library needs to know of a view; symbols, so that no member name collides. */
export const REGION = Symbol("shmstruct:region");
export const OFFSET = Symbol("shmstruct:offset");
export const LAYOUT = Symbol("shmstruct:layout");
/** Makes a view of the same class on other memory. */
export const ANEW = Symbol("shmstruct:anew");

export interface View extends Struct {
  readonly [REGION]: Region;
  readonly [OFFSET]: number;
  readonly [LAYOUT]: Layout;
  readonly [ANEW]: (region: Region, byteOffset: number) => View;
}

/** True for the objects that view classes make. */
export const isView = (value: unknown): value is View =>
  typeof value === "object" && value !== null && LAYOUT in value;
