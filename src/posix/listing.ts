/** What POSIX objects there are, as far as the system shows them. */
import type { Stats } from "node:fs";
import { fs } from "../sys/builtin.ts";
import { isLinux } from "../sys/libc/constants.ts";
import { semaphoreNameOf } from "./semaphore-file.ts";

/**
 * One object that has a name.
 * @example const { kind, name, mode }: PosixObject = listPosixObjects().objects[0]!;
 */
export interface PosixObject {
  /** What it is. */
  kind: "shared memory" | "semaphore" | "message queue";
  /** As the constructors take it, with its slash. */
  name: string;
  /** Bytes of shared memory. Undefined for the others: a queue would have to be opened, which may disturb it. */
  size: number | undefined;
  /** Permission bits, e.g. 0o600. */
  mode: number;
  /** The owner's user number. */
  uid: number;
  /** When it was last changed (semaphores and memory: resized or written through a descriptor, not a map). */
  modified: Date;
}

/**
 * What `listPosixObjects` found, and what it could not see.
 * @example const { objects, unseen }: PosixObjectList = listPosixObjects();
 */
export interface PosixObjectList {
  /** Memory and semaphores first, then queues. */
  objects: PosixObject[];
  /** Sentences such as `"message queues: no mqueue file system is mounted …"`; empty when all was seen. */
  unseen: string[];
}

const SHARED_MEMORY_DIR = "/dev/shm";

/**
 * Lists shared memory, semaphores and message queues that still have a name, also those of other programs. On Linux the first two
 * are files in /dev/shm; queues show where the file system `mqueue` is mounted, usually at /dev/mqueue. It never
 * throws: what it cannot read is said in `unseen`. On musl a semaphore's file is told from shared memory by its 32 bytes.
 * @example for (const { kind, name } of listPosixObjects().objects) console.log(kind, name);
 */
export function listPosixObjects(): PosixObjectList {
  if (!isLinux) return { objects: [], unseen: ["everything: this system does not list POSIX objects"] };
  const memory = listDirectory(SHARED_MEMORY_DIR, "shared memory and semaphores", inSharedMemoryDir);
  const queues = attempt("message queues", () => {
    const queueDir = queueMountPoint();
    if (queueDir === undefined) return { objects: [], unseen: [NO_QUEUE_MOUNT] };
    return listDirectory(queueDir, "message queues", inQueueDir);
  });
  return { objects: [...memory.objects, ...queues.objects], unseen: [...memory.unseen, ...queues.unseen] };
}

const NO_QUEUE_MOUNT =
  "message queues: no mqueue file system is mounted (root: mkdir /dev/mqueue && mount -t mqueue none /dev/mqueue)";

function listDirectory(
  directory: string,
  what: string,
  describe: (file: string, stats: Stats) => PosixObject,
): PosixObjectList {
  return attempt(what, () => {
    const objects = fs()
      .readdirSync(directory)
      .flatMap((file) => {
        // It may be gone by now; directories and links are not ours.
        const stats = fs().lstatSync(`${directory}/${file}`, { throwIfNoEntry: false });
        return stats?.isFile() ? [describe(file, stats)] : [];
      });
    return { objects, unseen: [] };
  });
}

function attempt(what: string, list: () => PosixObjectList): PosixObjectList {
  try {
    return list();
  } catch (error) {
    return { objects: [], unseen: [`${what}: ${String(error)}`] };
  }
}

function inSharedMemoryDir(file: string, stats: Stats): PosixObject {
  const semaphore = semaphoreNameOf(file, stats.size);
  if (semaphore === undefined) return { ...describe("shared memory", `/${file}`, stats), size: stats.size };
  return describe("semaphore", semaphore, stats);
}

// Reading the file would tell how much is queued, but closing it would cancel our own request for a notification.
const inQueueDir = (file: string, stats: Stats): PosixObject => describe("message queue", `/${file}`, stats);

function describe(kind: PosixObject["kind"], name: string, stats: Stats): PosixObject {
  const { uid, mtime } = stats;
  return { kind, name, size: undefined, mode: stats.mode & 0o777, uid, modified: mtime };
}

/** Where queues are shown, if anywhere. */
function queueMountPoint(): string | undefined {
  const mounts = fs().readFileSync("/proc/self/mounts", "utf8");
  const path = /^\S+ (\S+) mqueue /m.exec(mounts)?.[1];
  // proc(5): spaces, tabs, newlines and backslashes stand there as octal numbers.
  return path?.replace(/\\([0-7]{3})/g, (_, octal: string) => String.fromCharCode(Number.parseInt(octal, 8)));
}
