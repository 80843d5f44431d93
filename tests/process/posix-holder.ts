/** Takes a unit of the semaphore NAME, says so, and stays until it is killed. */
import { Semaphore } from "../../src/posix/index.ts";

new Semaphore({ name: process.argv[2]! }).acquire();
console.log("holding");
setInterval(() => {}, 60_000);
