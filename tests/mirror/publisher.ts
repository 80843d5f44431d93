/** A publisher in a process of its own, to be killed: bun publisher.ts <path> <options as JSON>. */
import { Mirror } from "../../src/mirror/index.ts";

const [path = "", options = "{}"] = process.argv.slice(2);
await using publisher = await Mirror.publish(path, JSON.parse(options));
console.log("ready");
await publisher.ended;
