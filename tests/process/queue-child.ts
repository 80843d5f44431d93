/** The other end of a queue: bun queue-child.ts DIR hold | push FIRST | async */
import { Queue } from "../../src/queue/index.ts";
import { fillWork, Work } from "../queue/structs.ts";

const [dir, what, first = "0"] = process.argv.slice(2);

if (what === "push") {
  using queue = new Queue(Work, { dir, create: true, slots: 64 });
  for (let id = Number(first); id < Number(first) + 10; id++) queue.push(fillWork(id));
} else if (what === "async") {
  using queue = new Queue(Work, { dir });
  using other = new Queue(Work, { dir });
  const waiting = queue.takeAsync();
  (await waiting)?.done();
  const second = other.takeAsync();
  queue.push(fillWork(2));
  (await second)?.done();
} else {
  const queue = new Queue(Work, { dir });
  queue.take();
  console.log("taken");
  setInterval(() => {}, 1000);
}
