/** `shmstruct/queue` on Node.js: names that say why they are not there. */
import { unsupported } from "./unsupported.ts";

export const Job = unsupported("Job");
export const Queue = unsupported("Queue");
