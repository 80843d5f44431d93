/** How memory that must not be handed out as a writable typed array still gets views: `viewOf` asks it. */

export const memorySource: unique symbol = Symbol.for("shmstruct.memorySource");

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
