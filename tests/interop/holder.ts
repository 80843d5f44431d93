/** A Bun worker that takes a job and does not end it: bun holder.ts DIR */
import { Queue } from "../../src/queue/index.ts";
import { Item } from "./shared.ts";

const queue = new Queue(Item, { dir: process.argv[2] });
queue.take();
console.log("taken");
setInterval(() => {}, 1000);
