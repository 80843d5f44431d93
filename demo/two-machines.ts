/**
 * Two machines and a server, here as two directories and three processes: a robot's state is written on one and read on the
 * other. Needs nats-server (Debian: apt-get install nats-server).
 *   bun demo/two-machines.ts [seconds]
 */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Manager, Reader } from "shmstruct";
import { Mirror } from "shmstruct/mirror";
import { DemoMmapStructure } from "./demo-struct.ts";

const seconds = Number(process.argv[2] ?? 3);
const root = mkdtempSync(join(tmpdir(), "two-machines-"));
using _ = { [Symbol.dispose]: () => rmSync(root, { recursive: true, force: true }) };

const port = 14_222;
const server = Bun.spawn(
  ["nats-server", "-js", "-a", "127.0.0.1", "-p", String(port), "-sd", join(root, "jetstream")],
  // Debian has it in /usr/sbin, which is not in every user's PATH.
  { stdout: "ignore", stderr: "ignore", env: { ...process.env, PATH: `${process.env.PATH}:/usr/sbin` } },
);
const options = { servers: `nats://127.0.0.1:${port}`, bucket: "robots", key: "arm" };

// Machine A: a program writes the file, and the mirror publishes it.
using manager = new Manager(DemoMmapStructure, { dir: join(root, "a"), create: true });
const publisher = await Mirror.publish(manager.path, {
  ...options,
  maxHz: 100,
  // The server has just been started.
  onWait: ({ problem }) => console.log(`waiting: ${problem}`),
});

// Machine B: the mirror keeps a file, and a program reads it as ever.
const follower = await Mirror.follow(join(root, "b", "DemoMmapStructure_.mmap"), options);
await follower.ready({ timeoutMs: 10_000 });
using reader = new Reader(DemoMmapStructure, { dir: join(root, "b") });

const end = Date.now() + seconds * 1000;
const writing = setInterval(() => manager.set("data_int", manager.get("data_int") + 1), 5);
for await (const version of reader.changes()) {
  if (Date.now() > end) break;
  if (version % 50 < 2)
    console.log(
      `version ${version}: data_int ${reader.snapshot("data_int")}, ${follower.info().lagMs} ms behind`,
    );
}
clearInterval(writing);
console.log(`machine A has version ${manager.version}, machine B ${reader.version}`);
await follower[Symbol.asyncDispose]();
await publisher[Symbol.asyncDispose]();
server.kill();
await server.exited;
