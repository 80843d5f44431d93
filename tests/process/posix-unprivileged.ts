/** As a user without rights (root becomes nobody), opens the semaphore and queue NAME and the memory MEMORY, whose mode is 0; prints what is thrown. */
import { dlopen } from "bun:ffi";
import { MessageQueue, Semaphore, SharedMemory } from "../../src/posix/index.ts";

const NOBODY = 65534;
// int seteuid(uid_t euid);
const libc = dlopen("libc.so.6", { seteuid: { args: ["u32"], returns: "i32" } }).symbols;
const [name = "", memoryName = ""] = process.argv.slice(2);
const opens = [
  () => new Semaphore({ name }).close(),
  () => new MessageQueue({ name }).close(),
  () => new SharedMemory({ name: memoryName }).close(),
];

function outcome(open: () => void): string {
  try {
    open();
    return "opened";
  } catch (error) {
    const { name: cls, code } = error as { name: string; code: string };
    return `${cls} ${code}`;
  }
}

// Once in vain, so that everything is loaded before the rights to load it are gone.
for (const open of opens) outcome(open);
libc.seteuid(NOBODY);
for (const open of opens) console.log(outcome(open));
