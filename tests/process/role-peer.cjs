// A Node.js program that goes by the same lock through fs-ext: `role-peer.cjs <lock file> <counter file>`.
// Lines on standard input: "try sh", "try ex" (prints got or busy), "unlock", "count <rounds>" (prints counted).
const fs = require("node:fs");
const readline = require("node:readline");
const { flockSync } = require("../node-peer/node_modules/fs-ext");

const [lockPath, counterPath] = process.argv.slice(2);
const fd = fs.openSync(lockPath, "r+");

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
  for (let round = 0; round < rounds; round++) {
    flockSync(fd, "ex");
    fs.writeFileSync(counterPath, String(Number(fs.readFileSync(counterPath, "utf8")) + 1));
    flockSync(fd, "un");
  }
}

console.log("ready");
readline.createInterface({ input: process.stdin }).on("line", (line) => {
  const [verb, argument] = line.split(" ");
  if (verb === "try") console.log(tryLock(argument));
  if (verb === "unlock") flockSync(fd, "un");
  if (verb === "count") {
    count(Number(argument));
    console.log("counted");
  }
});
