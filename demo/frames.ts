/**
 * Frames of 6 MB, 60 a second, from one process to three others of different speed: bun demo/frames.ts [seconds]
 *
 * The publisher never waits. The fast subscriber sees every frame in place, the slow ones learn how many they have missed.
 */
import { mkdtempSync, rmSync } from "node:fs";
import { array, c_uint8, c_uint32, field, Struct } from "shmstruct";
import { Publisher, Subscriber } from "shmstruct/channel";

const WIDTH = 1920;
const HEIGHT = 1080;
const FRAMES_A_SECOND = 60;
/** What each subscriber does with a frame takes so long, in milliseconds. */
const SUBSCRIBERS: Record<string, number> = { display: 0, encoder: 25, archive: 150 };

class Frame extends Struct {
  @field(c_uint32) number!: number;
  @field(c_uint32) width!: number;
  @field(c_uint32) height!: number;
  @field(array(c_uint8, WIDTH * HEIGHT * 3)) pixels!: Uint8Array;
}

const [role, ...rest] = process.argv.slice(2);
if (role === "subscriber") await subscribe(rest[0]!, rest[1]!);
else await main(Number(role ?? 3));

async function main(seconds: number): Promise<void> {
  if (!(seconds > 0)) throw new RangeError(`usage: bun demo/frames.ts [seconds], got ${role}`);
  const dir = mkdtempSync("/dev/shm/shmstruct-frames-");
  try {
    using frames = new Publisher(Frame, { dir, slots: 8, create: true, clear: false });
    const children = Object.keys(SUBSCRIBERS).map((name) =>
      Bun.spawn([process.execPath, import.meta.path, "subscriber", name, dir], {
        stdout: "pipe",
        stderr: "inherit",
      }),
    );
    const outputs = children.map(({ stdout }) => stdout.getReader());
    // Each says that it is ready.
    for (const output of outputs) await output.read();
    console.log(`publishing ${WIDTH}x${HEIGHT} frames at ${FRAMES_A_SECOND} a second for ${seconds} s`);
    const worstMs = await publish(frames, seconds);
    console.log(`published ${frames.index} frames of 6.2 MB; the slowest send took ${worstMs.toFixed(1)} ms`);
    for (const output of outputs) process.stdout.write((await output.read()).value ?? "");
  } finally {
    rmSync(dir, { recursive: true, force: true });
  }
}

async function publish(frames: Publisher<Frame>, seconds: number): Promise<number> {
  let worstMs = 0;
  const start = performance.now();
  for (let number = 0; number < seconds * FRAMES_A_SECOND; number++) {
    const due = start + (number * 1000) / FRAMES_A_SECOND;
    await Bun.sleep(Math.max(0, due - performance.now()));
    const before = performance.now();
    frames.send((frame) => {
      frame.number = number;
      frame.width = WIDTH;
      frame.height = HEIGHT;
      frame.pixels.fill(number & 255);
    });
    worstMs = Math.max(worstMs, performance.now() - before);
  }
  // Type 1 means: the last one.
  frames.send({ number: -1 >>> 0 }, { type: 1 });
  return worstMs;
}

async function subscribe(name: string, dir: string): Promise<void> {
  using subscriber = new Subscriber(Frame, { dir, from: "next" });
  const paceMs = SUBSCRIBERS[name]!;
  let [seen, missed, torn, isOver] = [0, 0, 0, false];
  console.log("ready");
  const look = (): boolean => {
    let found = { isLast: false, lost: 0, isTorn: false };
    const isWhole = subscriber.peek((frame, message) => {
      // Work on the frame in place: here, a look at two of its pixels.
      const isTorn = message.type !== 1 && frame.pixels.at(0) !== frame.pixels.at(-1);
      found = { isLast: message.type === 1, lost: message.missed, isTorn };
    });
    // What was found in a frame that was overwritten meanwhile does not count.
    if (!isWhole) return false;
    seen++;
    missed += found.lost;
    if (found.isTorn) torn++;
    isOver = found.isLast;
    return true;
  };
  // Begun before the first look: a frame in between is a change.
  await using changes = subscriber.changes();
  do {
    while (!isOver && look()) if (paceMs > 0) await Bun.sleep(paceMs);
  } while (!isOver && !(await changes.next()).done);
  console.log(`${name.padEnd(8)} saw ${seen - 1} frames, missed ${missed}, ${torn} were torn`);
}
