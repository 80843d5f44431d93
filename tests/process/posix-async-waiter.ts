/** Waits for a message of the queue NAME without blocking, prints it, and has nothing else to live for. */
import { MessageQueue } from "../../src/posix/index.ts";

const queue = new MessageQueue({ name: process.argv[2]! });
const waiting = queue.receiveAsync();
console.log("waiting");
const [message] = await waiting;
console.log(new TextDecoder().decode(message));
