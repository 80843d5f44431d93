/** Rows 5 and 6: a locked edit of five fields, against C with flock and against Python as IPMMAP does it. */
import { closeSync, openSync } from "node:fs";
import { join } from "node:path";
import { DemoMmapStructure } from "../demo/demo-struct.ts";
import { bytesOf, create, Manager, type ManagerOptions } from "../src/index.ts";
import { fileLock } from "../src/sync/file-lock.ts";
import { fileSize } from "../src/sys/file.ts";
import { alone, type Case, type Suite, timed } from "./harness.ts";
import { cProgram, inTempDir, pythonProgram } from "./prepare.ts";

const TURNS = 500;

/** The five stores of all the peers. */
function store(data: DemoMmapStructure, i: number): void {
  data.data_int = i;
  data.data_xy.x = i;
  data.data_xy.y = -i;
  data.multi_pts.multi_data_int = i;
  data.multi_pts.multi_points.at(3).x = i;
}

const check = (data: DemoMmapStructure, turns: number): void => {
  if (data.data_int !== turns || data.multi_pts.multi_points.at(3).x !== turns)
    throw new Error(`the last edit is not there: ${data.data_int} is not ${turns}`);
};

const edit = (options: ManagerOptions): Case => {
  return () =>
    inTempDir((dir) => {
      using manager = new Manager(DemoMmapStructure, { ...options, dir, lockDir: dir, create: true });
      let turns = 0;
      const one = (data: DemoMmapStructure) => store(data, turns);
      const run = () => {
        for (let i = 0; i < TURNS; i++) {
          turns++;
          manager.edit(one);
        }
        check(manager.live, turns);
      };
      return timed(TURNS, run);
    });
};

/** The system calls through bun:ffi and the stores, and what `beside` adds at the session's begin and end. */
const byHand =
  (beside: (data: DemoMmapStructure, fd: number) => Beside): Case =>
  () =>
    inTempDir(async (dir) => {
      const path = join(dir, "hand.lock");
      const fd = openSync(path, "w+");
      const lock = fileLock("flock", fd, path);
      const data = create(DemoMmapStructure);
      const { begin, end } = beside(data, fd);
      let turns = 0;
      const run = () => {
        for (let i = 0; i < TURNS; i++) {
          turns++;
          lock.lock("exclusive");
          begin();
          store(data, turns);
          end();
          lock.unlock();
        }
        check(data, turns);
      };
      const result = await timed(TURNS, run);
      closeSync(fd);
      return result;
    });

interface Beside {
  begin(): void;
  end(): void;
}

const nothing = (): Beside => ({ begin() {}, end() {} });

/** A file that another process has truncated kills the one that touches its memory. */
const look = (_: DemoMmapStructure, fd: number): Beside => ({
  begin() {
    if (fileSize(fd) !== 0) throw new Error("another process wrote to the lock file");
  },
  end() {},
});

/** All that a transaction does, in private memory: with the library's struct and system calls, without its sessions. */
const transaction = (data: DemoMmapStructure, fd: number): Beside => {
  const { begin } = look(data, fd);
  const opened = performance.now();
  const live = bytesOf(data);
  const preImage = new Uint8Array(live.length);
  const words = new Int32Array(new SharedArrayBuffer(64));
  const publish = () => {
    Atomics.store(words, SEQUENCE, words[SEQUENCE]! + 1);
    Atomics.load(words, SEQUENCE);
  };
  return {
    begin() {
      begin();
      if (performance.now() - opened > LONG_MS) throw new Error("time to look whether the file was deleted");
      preImage.set(live);
      words[BEFORE] = words[COMMITS]!;
      publish();
    },
    end() {
      data.header.header_code = 0;
      data.header.time_stamp = Date.now() / 1000;
      Atomics.add(words, COMMITS, 1);
      publish();
      Atomics.add(words, CHANGES, 1);
    },
  };
};
const [SEQUENCE, COMMITS, BEFORE, CHANGES] = [0, 4, 5, 8];
const LONG_MS = 3_600_000;

const FLOOR =
  "three system calls instead of two, each dearer in a process with threads, as Bun's are. Under the lock the file's length is looked at before the memory is touched: a truncated file kills the process that touches it. The rest of the floor is the copy of the state before, two clocks, two publications of the sequence and two counts; by hand, too, stores are checked and go through the library's struct. What the library adds is the session: its object, its checks, the lock's queue and the function that is called.";

const suite: Suite = {
  title: "A locked edit of five fields",
  file: import.meta.filename,
  honest:
    "no other process wants the lock, on either side; the stores go to mapped files, and the last values are read back after every 500 edits. Ours is a whole transaction: it keeps the state before it, counts the commit, sets the time stamp, checks that the file still is what it was and tells those who wait for changes. C and Python do none of this.",
  idle: "nothing: an open role is two mappings and three descriptors, without a thread or a timer; a lock that no other process wants costs no time.",
  cases: {
    "edit()": edit({}),
    "edit(), not transactional": edit({ transactional: false }),
    "edit(), fcntl lock": edit({ lock: "fcntl" }),
    "flock by hand": byHand(nothing),
    "flock and lseek by hand": byHand(look),
    "transaction by hand": byHand(transaction),
  },
  programs: (dir) => ({
    "C, flock": cProgram("edit", dir),
    "Python, fasteners": pythonProgram("edit", ["fasteners"], dir),
  }),
  rows: [
    {
      id: "5",
      what: "edit of five fields, transactional",
      ours: "edit()",
      peer: "C, flock",
      aim: { atMost: 2 },
      floor: FLOOR,
      headline: "Edit of five fields, a whole transaction",
    },
    {
      id: "5",
      what: "edit of five fields, not transactional",
      ours: "edit(), not transactional",
      peer: "C, flock",
    },
    {
      id: "5",
      what: "flock, five stores, unlock by hand in JavaScript",
      ours: "flock by hand",
      peer: "C, flock",
    },
    {
      id: "5",
      what: "flock, a look at the file's length, five stores, unlock by hand in JavaScript",
      ours: "flock and lseek by hand",
      peer: "C, flock",
    },
    {
      id: "5",
      what: "flock, all that a transaction does, five stores, unlock by hand in JavaScript: the floor",
      ours: "transaction by hand",
      peer: "C, flock",
    },
    {
      id: "5",
      what: "edit of five fields, transactional, against that floor",
      ours: "edit()",
      peer: "transaction by hand",
    },
    {
      id: "6",
      what: "edit of five fields, transactional; Python with an editor per block, as in IPMMAP's demo",
      ours: "edit()",
      peer: "Python, fasteners",
      aim: { atLeast: 40 },
      headline: "Edit of five fields, against IPMMAP's way in Python",
    },
    {
      id: "6",
      what: "edit of five fields; Python with one editor for all blocks",
      ours: "edit()",
      peer: "Python, fasteners",
      peerMetric: "same",
    },
    {
      id: "6",
      what: "edit of five fields on a file that Python's processes share (fcntl lock)",
      ours: "edit(), fcntl lock",
      peer: "Python, fasteners",
    },
  ],
};
export default suite;

if (import.meta.main) await alone(suite);
