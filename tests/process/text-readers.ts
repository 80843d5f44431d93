/** Reads text in every way that the library has: text-readers.ts NAME DIRECTORY MILLISECONDS [KIND …] */

import { Subscriber } from "../../src/channel/index.ts";
import { JsonMap } from "../../src/document/index.ts";
import { bytesOf, equals, openReader, Reader, ShmError, toObject, viewOf } from "../../src/index.ts";
import { MemoryMap } from "../../src/mmap/index.ts";
import { MessageQueue, O_CREAT, SharedMemory } from "../../src/posix/index.ts";
import { Queue } from "../../src/queue/index.ts";
import { Line, Notes, placeFromArguments, takeTurns } from "./text-place.ts";

const place = placeFromArguments(process.argv.slice(2));
using reader = new Reader(Notes, { name: place.name });
using memory = new SharedMemory({ name: place.name });
const shared = memory.viewOf(Notes);
const bytes = bytesOf(shared);
using map = new MemoryMap(reader.path, 0, { access: "read" });
const mapped = viewOf(Notes, map);

const scratch = new Uint8Array(4096);
using queue = new MessageQueue({ name: null, flags: O_CREAT, maxMessages: 2, maxMessageSize: 4096 });
queue.unlink();

const readAll = ({ short, text, long, latin1, utf16 }: Notes): number =>
  short.length + text.length + long.length + latin1.length + utf16.length;

/** Other bytes than those of a whole file are an error of the library, at once. */
function unlessDamaged(open: () => Disposable): void {
  try {
    using _ = open();
  } catch (error) {
    if (!(error instanceof ShmError)) throw error;
  }
}

const readers: Record<string, () => void> = {
  live: () => void readAll(reader.live as Notes),
  toObject: () => void toObject(reader.live as Notes),
  shown: () => {
    JSON.stringify(reader.live);
    Bun.inspect(reader.live);
  },
  locked: () => void reader.get("text"),
  sharedMemory: () => void readAll(shared),
  memoryMap: () => void readAll(mapped),
  mapMethods: () => {
    map.text(0, 512);
    map.find("\u{1f600}a", 0);
    map.rfind("aa", 0);
    map.seek(0);
    map.readLine();
  },
  openDocument: () => unlessDamaged(() => new JsonMap({ file: place.document, role: "follower" })),
  openRecord: () => unlessDamaged(() => openReader(place.record)),
  equals: () => void equals(shared, mapped),
  copies: () => {
    map.slice(0, 4096);
    map.copy(scratch, 0, 4096);
    map.seek(0);
    map.read(512);
    toObject(reader.snapshot());
    new Uint8Array(bytes).set(bytes);
  },
  elements: () => {
    Array.from(bytes);
    for (const byte of bytes) if (byte > 255) throw new Error("no byte");
  },
  ownType: () => void (reader.live.own.length + mapped.own.length),
  messageQueue: () => {
    queue.send(bytes.subarray(0, 4096));
    queue.receive();
  },
};

/** Thrown by a look that leaves the message where it is. */
const stay = new Error("stay");
using lines = new Subscriber(Line, { dir: place.dir, from: "oldest" });
using jobs = new Queue(Line, { dir: place.dir });

function look(): void {
  try {
    lines.peek((line) => {
      if (line.text.length <= 256) throw stay;
    });
  } catch (error) {
    if (error !== stay) throw error;
  }
}

const streams: Record<string, () => void> = {
  channel: () => {
    look();
    using again = new Subscriber(Line, { dir: place.dir, from: "oldest" });
    if (again.receive()!.data.text.length > 256) throw new Error("no line");
  },
  queue: () => {
    using job = jobs.tryTake();
    if (job!.data.text.length > 256) throw new Error("no line");
  },
};

console.log(JSON.stringify(takeTurns({ ...readers, ...streams }, place, 37)));
