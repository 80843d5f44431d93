/** What is open in a worker is given back when the worker ends: its end alone closes no descriptor. */

export interface Closable {
  close(): void;
}

const open = new Set<Closable>();

/** Closes `closable` when this worker ends, unless it is forgotten before. Nothing on the main thread. */
export function closeAtWorkerEnd(closable: Closable): void {
  if (!Bun.isMainThread) open.add(closable);
}

closeAtWorkerEnd.forget = (closable: Closable): void => {
  open.delete(closable);
};

if (!Bun.isMainThread) {
  process.on("exit", () => {
    for (const closable of [...open]) closeQuietly(closable);
  });
}

/** One that cannot be closed must not keep the others open. No caller is left to be told. */
function closeQuietly(closable: Closable): void {
  try {
    closable.close();
  } catch {}
}
