/** How memory that must not be handed out as a writable typed array still gets views: `viewOf` asks it. */

export const memorySource: unique symbol = Symbol.for("shmstruct.memorySource");

/**
 * On an ArrayBuffer: its memory is mapped, so that other processes change it. By name, so that the room that makes
 * mappings need not know this one.
 */
export const mappedMemory: unique symbol = Symbol.for("shmstruct.mappedMemory");

/** True for memory that others change while a loop looks at it: mapped memory, and what threads share. */
export const isShared = (buffer: ArrayBufferLike): boolean =>
  !(buffer instanceof ArrayBuffer) ||
  (buffer as { readonly [mappedMemory]?: boolean })[mappedMemory] === true;

/** Something with memory for views, such as a `MemoryMap`. */
export interface MemorySource {
  /** Called once per view. */
  [memorySource](): {
    buffer: ArrayBuffer;
    byteOffset: number;
    byteLength: number;
    /** Views must refuse stores: the memory is PROT_READ, and a store would kill the process. */
    readOnly: boolean;
  };
}
