/** Whatever state the file is in: close() gives back descriptors, memory and locks, and works at the first time. */
import { afterAll, expect, test } from "bun:test";
import { readFileSync, rmSync, truncateSync } from "node:fs";
import { Publisher } from "../../src/channel/index.ts";
import { c_int32, Editor, field, LockTimeoutError, Manager, MmapStructure, Struct } from "../../src/index.ts";
import { MemoryMap } from "../../src/mmap/index.ts";
import { Queue } from "../../src/queue/index.ts";
import { AT, FOOTER_BYTES } from "../../src/segment/footer.ts";
import { descriptorsOf, mappingsOf } from "../support/resources.ts";
import { temporaryDirectory } from "../support/temporary.ts";
import { hasTool } from "../support/tools.ts";

class Step extends Struct {
  @field(c_int32) n!: number;
}
class Robot extends MmapStructure {
  @field(c_int32) n!: number;
}

const scope = temporaryDirectory();
const dir = scope.path;
afterAll(() => scope[Symbol.dispose]());

const openNow = (): number[] => [descriptorsOf(dir), mappingsOf(dir)];

/** Says in a file that another one has taken its place, and in its slots that it is being replaced. */
function freeze(path: string): void {
  using map = new MemoryMap(path, 0);
  const words = new Uint32Array(map.bytes.buffer, 0, map.length / 4);
  words[(map.length - FOOTER_BYTES + AT.superseded) / 4] = 1;
  for (let i = 0; i < words.length; i++) {
    const isTaken = words[i]! >>> 30 === 3 && ((words[i]! >>> 20) & 1023) === 1;
    if (isTaken) words[i] = (words[i]! & 0xfff) + (2 << 30) + (1023 << 20);
  }
}

type Damage = (path: string) => void;
const DAMAGES: readonly (readonly [string, Damage])[] = [
  ["is being replaced", freeze],
  [
    "was being replaced, and is gone",
    (path) => {
      freeze(path);
      rmSync(path);
    },
  ],
  ["was deleted", (path) => rmSync(path)],
  ["was truncated", (path) => truncateSync(path, 0)],
];

test.each(DAMAGES)("a queue with a job in hand closes when its file %s", (_, damage) => {
  const queue = new Queue(Step, { dir, create: true, force: true, slots: 2 });
  queue.push({ n: 1 });
  expect(queue.take()?.data.n).toBe(1);
  damage(queue.path);
  queue.close();
  expect([queue.closed, ...openNow()]).toEqual([true, 0, 0]);
});

test.each(DAMAGES.slice(2))("a publisher with an open loan closes when its file %s", (_, damage) => {
  const publisher = new Publisher(Step, { dir, create: true, force: true });
  const loan = publisher.loan();
  damage(publisher.path);
  publisher.close();
  expect(() => loan.data).toThrow("given back");
  expect([publisher.closed, ...openNow()]).toEqual([true, 0, 0]);
});

test.each(DAMAGES.slice(2))("a record with an open session closes when its file %s", (_, damage) => {
  const at = { dir, lockDir: dir };
  new Manager(Robot, { ...at, create: true, force: true }).close();
  const editor = new Editor(Robot, at);
  editor.lock().data.n = 7;
  damage(editor.path);
  editor.close();
  expect([editor.closed, ...openNow()]).toEqual([true, 0, 0]);
});

/** Takes the publisher's lock as soon as it is free, and is stopped then. */
test.skipIf(!hasTool("flock"))(
  "remove() of a publisher gives up after its time limit, and closes",
  async () => {
    // An empty file, as the truncation before has left, counts as another program's.
    const publisher = new Publisher(Step, { dir, tag: "removed", create: true });
    const holder = Bun.spawn(
      ["flock", "-F", "-x", `${publisher.path}.lock`, "sh", "-c", "echo; kill -STOP $$"],
      {
        stdout: "pipe",
      },
    );
    const { close } = publisher;
    publisher.close = () => {
      close.call(publisher);
      while (!isStopped(holder.pid)) Bun.sleepSync(1);
    };
    try {
      expect(() => publisher.remove({ timeoutMs: 20 })).toThrow(LockTimeoutError);
      expect([publisher.closed, ...openNow()]).toEqual([true, 0, 0]);
    } finally {
      holder.kill("SIGKILL");
      await holder.exited;
    }
  },
);

const isStopped = (pid: number): boolean => / T /.test(readFileSync(`/proc/${pid}/stat`, "utf8"));
