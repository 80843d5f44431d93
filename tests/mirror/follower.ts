/** Followers in a process of their own, to be killed: bun follower.ts <options as JSON> <key> <path> … */
import { Mirror } from "../../src/mirror/index.ts";

const [given = "{}", ...pairs] = process.argv.slice(2);
const options = JSON.parse(given);
const keys = pairs.filter((_, i) => i % 2 === 0);
const followers = await Promise.all(
  keys.map((key, i) => Mirror.follow(pairs[2 * i + 1] ?? "", { ...options, key })),
);
await Promise.all(followers.map((follower) => follower.ready()));
console.log("ready");
// For who looks why it does not go on.
setInterval(() => console.log(JSON.stringify(followers.map((follower) => follower.info()))), 1000);
await new Promise(() => undefined);
