/** A worker thread that takes a job and keeps it: argv is the directory. */
import { Queue } from "../../src/queue/index.ts";
import { Work } from "../queue/structs.ts";

declare const self: Worker;
const queue = new Queue(Work, { dir: process.argv[2]! });
queue.take();
self.postMessage("taken");
setInterval(() => {}, 1000);
