/** Small files that are whole or not there. */
import { renameSync, writeFileSync } from "node:fs";

/** Replaces a file by one with this value, in one step. */
export function writeState(path: string, value: unknown): void {
  const temporary = `${path}.${process.pid}`;
  writeFileSync(temporary, JSON.stringify(value), { mode: 0o600 });
  renameSync(temporary, path);
}
