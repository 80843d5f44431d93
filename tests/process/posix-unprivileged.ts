/** As a user without rights, opens the objects NAME, which belong to somebody else; prints what is thrown. */
import { dlopen } from "bun:ffi";
import { MessageQueue, Semaphore, SharedMemory } from "../../src/posix/index.ts";

const NOBODY = 65534;
// int seteuid(uid_t euid);
const libc = dlopen("libc.so.6", { seteuid: { args: ["u32"], returns: "i32" } }).symbols;
const name = process.argv[2]!;

// Everything is loaded before the rights to load it are gone.
new Semaphore({ name }).close();
new MessageQueue({ name }).close();
new SharedMemory({ name }).close();
libc.seteuid(NOBODY);
for (const open of [
  () => new Semaphore({ name }),
  () => new MessageQueue({ name }),
  () => new SharedMemory({ name }),
  () => new SharedMemory({ name }).unlink(),
]) {
  try {
    open();
    console.log("opened");
  } catch (error) {
    const { name: cls, code } = error as { name: string; code: string };
    console.log(`${cls} ${code}`);
  }
}
