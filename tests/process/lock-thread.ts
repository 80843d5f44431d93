/** A thread that holds a lock or waits for one until it is terminated: told `{ path, kind, how }`, says so when it is about to. */
import type { LockKind } from "../../src/sync/file-lock.ts";
import { RwLock } from "../../src/sync/rw-lock.ts";

declare const self: Worker;

export interface ThreadTask {
  path: string;
  kind: LockKind;
  how: "hold" | "wait" | "wait with a timeout" | "wait asynchronously";
}

self.onmessage = ({ data: { path, kind, how } }: MessageEvent<ThreadTask>) => {
  const lock = new RwLock({ path, kind });
  if (how === "hold") lock.acquire("exclusive");
  self.postMessage("ready");
  if (how === "wait") lock.acquire("exclusive");
  if (how === "wait with a timeout") lock.acquire("exclusive", { timeoutMs: 60_000 });
  if (how === "wait asynchronously") void lock.acquireAsync("exclusive");
};
