// A Node.js program that goes by the same lock through fs-ext: `role-peer.cjs <lock file> <data file> <offsets of two int32>`.
// Lines on standard input: "try sh", "try ex" (prints got or busy), "unlock", "count <rounds>" (adds 1 to both fields
// of the struct each time, and prints how often they differed).
const fs = require("node:fs");
const readline = require("node:readline");
const { flockSync } = require("../node-peer/node_modules/fs-ext");

const [lockPath, dataPath, ...offsets] = process.argv.slice(2);
const fd = fs.openSync(lockPath, "r+");
const data = fs.openSync(dataPath, "r+");
const places = offsets.map(Number);
const word = Buffer.alloc(4);

function read(offset) {
  fs.readSync(data, word, 0, 4, offset);
  return word.readInt32LE();
}

function write(offset, value) {
  word.writeInt32LE(value);
  fs.writeSync(data, word, 0, 4, offset);
}

function tryLock(mode) {
  try {
    flockSync(fd, `${mode}nb`);
    return "got";
  } catch (error) {
    if (error.code !== "EAGAIN" && error.code !== "EWOULDBLOCK") throw error;
    return "busy";
  }
}

function count(rounds) {
  let torn = 0;
  for (let round = 0; round < rounds; round++) {
    flockSync(fd, "ex");
    const [first, second] = places.map(read);
    if (first !== second) torn++;
    for (const place of places) write(place, first + 1);
    flockSync(fd, "un");
  }
  return torn;
}

console.log("ready");
readline.createInterface({ input: process.stdin }).on("line", (line) => {
  const [verb, argument] = line.split(" ");
  if (verb === "try") console.log(tryLock(argument));
  if (verb === "unlock") flockSync(fd, "un");
  if (verb === "count") {
    console.log(count(Number(argument)));
  }
});
