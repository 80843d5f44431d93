/**
 * The first of the classic pair: creates the memory `/unique_name` and the semaphore `/semaphore` (value 0), writes
 * `test` and releases the semaphore.
 *
 *     bun demo/posix-writer.ts             and in another terminal, before or after:   bun demo/posix-reader.ts
 *
 * Other names may be given: `bun demo/posix-writer.ts /memory /semaphore`.
 */
import { O_CREAT, PAGE_SIZE, Semaphore, SharedMemory } from "shmstruct/posix";

const [memoryName = "/unique_name", semaphoreName = "/semaphore"] = process.argv.slice(2);

using semaphore = new Semaphore({ name: semaphoreName, flags: O_CREAT, initialValue: 0 });
using memory = new SharedMemory({ name: memoryName, flags: O_CREAT, size: PAGE_SIZE });
using map = memory.map();

map.write("test");
semaphore.release();
console.log(`wrote "test" to ${memoryName} and released ${semaphoreName}`);
