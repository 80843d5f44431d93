/** Publishers in a process of their own, to be killed: bun publisher.ts <options as JSON> <key> <path> … */
import { Mirror } from "../../src/mirror/index.ts";

const [given = "{}", ...pairs] = process.argv.slice(2);
const options = JSON.parse(given);
const keys = pairs.filter((_, i) => i % 2 === 0);
const publishers = await Promise.all(
  keys.map((key, i) => Mirror.publish(pairs[2 * i + 1] ?? "", { ...options, key })),
);
console.log("ready");
// For who looks why it does not go on.
setInterval(() => console.log(JSON.stringify(publishers.map((publisher) => publisher.info()))), 1000).unref();
await Promise.all(publishers.map(({ ended }) => ended));
