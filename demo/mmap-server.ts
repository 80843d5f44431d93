/**
 * The server of the classic pair: writes a new message once a second into the 1024 mapped bytes of Test.dat.
 *
 *     bun demo/mmap-server.ts [file]       and in other terminals:   bun demo/mmap-client.ts [file]
 *
 * There is no lock: a client might meet a message half written. Where that matters, use Editor and Reader.
 */
import { existsSync, writeFileSync } from "node:fs";
import { MemoryMap } from "shmstruct/mmap";

const path = process.argv[2] ?? "Test.dat";
const byteLength = 1024;
if (!existsSync(path)) writeFileSync(path, new Uint8Array(byteLength));

const map = new MemoryMap(path, byteLength);
let count = 0;

function writeMessage() {
  const message = `message ${++count} at ${new Date().toLocaleTimeString()}\n`;
  map.seek(0);
  map.write(message);
  map.bytes.fill(0, map.tell());
  process.stdout.write(`wrote ${message}`);
}

writeMessage();
const timer = setInterval(writeMessage, 1000);
process.on("SIGINT", () => {
  clearInterval(timer);
  map.close();
});
