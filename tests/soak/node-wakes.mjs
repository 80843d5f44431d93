// What a wake by calls on files would cost, in Node.js: node tests/soak/node-wakes.mjs [wakes]. A child sleeps, this process wakes it and
// notes what its call took; the child tells how long after it was awake. The names of the ways: a byte into a FIFO of the sleeper's own;
// utimes(2), which the sleeper sees by inotify(7) (fs.watch); and a look every 2 ms, which needs no call.
import { execFileSync, fork } from "node:child_process";
import fs from "node:fs";
import os from "node:os";
import path from "node:path";
import { fileURLToPath } from "node:url";

const nowUs = () => (performance.timeOrigin + performance.now()) * 1000;
const file = fileURLToPath(import.meta.url);

const sleepers = {
  fifo(place, wake) {
    const stream = fs.createReadStream(place, { flags: "r+" });
    stream.on("data", wake);
  },
  utimes(place, wake) {
    fs.watch(place, wake);
  },
  look(place, wake) {
    const fd = fs.openSync(place, "r");
    const bytes = Buffer.alloc(8);
    let last = 0n;
    setInterval(() => {
      fs.readSync(fd, bytes, 0, 8, 0);
      const number = bytes.readBigUInt64LE();
      if (number !== last) wake();
      last = number;
    }, 2);
  },
};

const wakers = {
  fifo: (place) => {
    const fd = fs.openSync(place, "r+");
    const one = Buffer.alloc(1);
    return () => fs.writeSync(fd, one);
  },
  utimes: (place) => {
    const fd = fs.openSync(place, "r+");
    return () => fs.futimesSync(fd, Date.now() / 1000, Date.now() / 1000);
  },
  look: (place) => {
    const fd = fs.openSync(place, "r+");
    const number = Buffer.alloc(8);
    return () => {
      number.writeBigUInt64LE(number.readBigUInt64LE() + 1n);
      fs.writeSync(fd, number, 0, 8, 0);
    };
  },
};

const median = (values) => values.toSorted((a, b) => a - b)[values.length >> 1].toFixed(1);

async function measure(way, wakes, dir) {
  const place = path.join(dir, way);
  if (way === "fifo") execFileSync("mkfifo", [place]);
  else fs.writeFileSync(place, Buffer.alloc(8));
  const child = fork(file, [way, place], { env: { ...process.env, SLEEPER: "1" } });
  const next = () => new Promise((resolve) => child.once("message", resolve));
  await next();
  const wake = wakers[way](place);
  const [costs, ages] = [[], []];
  for (let i = 0; i < wakes; i++) {
    await new Promise((resolve) => setTimeout(resolve, 3));
    const told = next();
    const start = nowUs();
    wake();
    costs.push(nowUs() - start);
    ages.push((await told) - start);
  }
  child.kill();
  console.log(
    `${way}: ${median(costs)} us for the writer, seen after ${median(ages)} us (medians of ${wakes})`,
  );
}

if (process.env.SLEEPER) {
  const [way, place] = process.argv.slice(2);
  sleepers[way](place, () => process.send(nowUs()));
  process.send("ready");
} else {
  const dir = fs.mkdtempSync(path.join(os.tmpdir(), "shmstruct-wakes-"));
  for (const way of Object.keys(wakers)) await measure(way, Number(process.argv[2] ?? 200), dir);
  fs.rmSync(dir, { recursive: true });
}
