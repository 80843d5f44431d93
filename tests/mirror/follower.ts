/** A follower in a process of its own, to be killed: bun follower.ts <path> <options as JSON>. */
import { Mirror } from "../../src/mirror/index.ts";

const [path = "", options = "{}"] = process.argv.slice(2);
await using follower = await Mirror.follow(path, JSON.parse(options));
await follower.ready();
console.log("ready");
await new Promise(() => undefined);
