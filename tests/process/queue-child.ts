/** The other end of a queue: bun queue-child.ts DIR hold */
import { Queue } from "../../src/queue/index.ts";
import { Work } from "../queue/structs.ts";

const [dir] = process.argv.slice(2);
const queue = new Queue(Work, { dir });
queue.take();
console.log("taken");
setInterval(() => {}, 1000);
