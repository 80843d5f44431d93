/** For Node.js in the place of src/segment/lifetime.ts: it closes the descriptors of a worker that ends. */

export interface Closable {
  close(): void;
}

/** Nothing is to be done. */
export function closeAtWorkerEnd(_closable: Closable): void {}

closeAtWorkerEnd.forget = (_closable: Closable): void => {};
