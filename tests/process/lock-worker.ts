/** A thread that takes an exclusive lock, says so, and gives it back when it is told to. */
import { RwLock, type RwLockOptions } from "../../src/sync/rw-lock.ts";

declare const self: Worker;

let lock: RwLock | undefined;

self.onmessage = ({ data }: MessageEvent<RwLockOptions | "release">) => {
  if (data === "release") lock!.close();
  else {
    lock = new RwLock(data);
    lock.acquire("exclusive");
  }
  self.postMessage(data === "release" ? "released" : "held");
};
