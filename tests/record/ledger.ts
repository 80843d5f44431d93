/** Shared words in which killed and living writers keep account, outside of what is being tested. */
import { writeFileSync } from "node:fs";
import { openFile } from "../../src/sys/file.ts";
import { Mapping } from "../../src/sys/mapping.ts";

/** Indices into the ledger. */
export const LEDGER = { started: 0, begun: 1, done: 2, torn: 3, stop: 4, words: 16 } as const;

const O_RDWR = 2;

export function makeLedger(path: string): Int32Array<ArrayBuffer> {
  writeFileSync(path, new Uint8Array(LEDGER.words * 4));
  return openLedger(path);
}

export function openLedger(path: string): Int32Array<ArrayBuffer> {
  const mapping = Mapping.map(openFile(path, O_RDWR), { byteLength: LEDGER.words * 4, path });
  return new Int32Array(mapping.buffer);
}
