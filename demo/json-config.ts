/**
 * A shared configuration: one master that changes it, three followers, each a process of its own, that apply it.
 * Ends by itself after some changes, or by Ctrl-C.
 *
 *     bun demo/json-config.ts
 */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { JsonMap } from "shmstruct/json";

interface Config {
  /** Which configuration this is. `config.version` is that of the newest document, which may be a later one. */
  revision: number;
  limits: { speed: number; load: number };
  message: string;
  running: boolean;
}

/** What a follower does: applies the configuration there is, and every later one, until it says stop. */
async function follow(file: string, name: string): Promise<void> {
  using config = new JsonMap<Config>({ file, role: "follower" });
  // Ctrl-C goes to all processes of the terminal; the master tells the followers when to end.
  process.on("SIGINT", () => {});
  // The master holds the other end of this pipe: should it be killed, the follower ends too.
  // unref: the pipe alone keeps no follower alive.
  process.stdin
    .on("end", () => config.close())
    .resume()
    .unref();
  for await (const { revision, limits, message, running } of config.changes({ initial: true })) {
    if (!running) break;
    console.log(
      `  ${name} applies revision ${revision}: speed ${limits.speed}, load ${limits.load}, "${message}"`,
    );
  }
  console.log(`  ${name} ends`);
}

const startFollower = (file: string, name: string) =>
  Bun.spawn([process.execPath, import.meta.path, "follower", file, name], {
    stdin: "pipe",
    stdout: "inherit",
  });

/** What the master does: writes the first configuration, changes it, says stop. */
async function lead(file: string): Promise<void> {
  const stopped = Promise.withResolvers<void>();
  process.once("SIGINT", stopped.resolve);
  process.once("SIGTERM", stopped.resolve);
  const pause = () => Promise.race([Bun.sleep(400).then(() => true), stopped.promise.then(() => false)]);

  const followers = ["arm", "base", "camera"].map((name) => startFollower(file, name));
  using config = new JsonMap<Config>({ file, role: "master", maxBytes: 4096 });
  config.write({ revision: 1, limits: { speed: 1, load: 10 }, message: "hello", running: true });
  console.log(`the master shares ${config.path}`);
  for (let change = 1; change <= 4 && (await pause()); change++) {
    config.update((current) => {
      current!.revision += 1;
      current!.limits.speed += 0.5;
      current!.message = `change ${change}`;
    });
    console.log(`the master has written revision ${change + 1}`);
  }
  await pause();
  config.update((current) => {
    current!.running = false;
  });
  await Promise.all(followers.map((follower) => follower.exited));
  console.log("the master ends");
}

const [mode, file = "", name = ""] = process.argv.slice(2);
if (mode === "follower") await follow(file, name);
else {
  const dir = mkdtempSync(join(tmpdir(), "shmstruct-config-"));
  try {
    await lead(join(dir, "config.json.mmap"));
  } finally {
    rmSync(dir, { recursive: true });
  }
}
