/**
 * The client of the classic pair: prints every message that the server writes into Test.dat.
 *
 *     bun demo/mmap-client.ts [file]
 */
import { existsSync } from "node:fs";
import { MemoryMap } from "shmstruct/mmap";

const path = process.argv[2] ?? "Test.dat";
if (!existsSync(path)) {
  console.error(
    `there is no ${path} yet; start first: bun demo/mmap-server.ts ${process.argv[2] ?? ""}`.trimEnd(),
  );
  process.exit(1);
}
const map = new MemoryMap(path, 1024, { access: "read" });
let last = "";

function readMessage() {
  map.seek(0);
  const message = new TextDecoder().decode(map.readLine());
  if (message === last || !message.endsWith("\n")) return;
  last = message;
  process.stdout.write(`read ${message}`);
}

const timer = setInterval(readMessage, 100);
process.on("SIGINT", () => {
  clearInterval(timer);
  map.close();
});
