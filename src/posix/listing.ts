/** What POSIX objects there are, as far as the system shows them. */
import { readdirSync, readFileSync, type Stats, statSync } from "node:fs";
import { join } from "node:path";
import { isLinux } from "../libc/constants.ts";

/** One object that has a name. */
export interface PosixObject {
  kind: "shared memory" | "semaphore" | "message queue";
  /** As the constructors take it, with its slash. */
  name: string;
  /** Bytes: of the memory, of the file that keeps a semaphore, or of the messages that wait in a queue. */
  size: number;
  /** Permission bits, e.g. 0o600. */
  mode: number;
  /** The owner's user number. */
  uid: number;
  /** When it was last changed (semaphores and memory: resized or written through a descriptor, not a map). */
  modified: Date;
}

/** What `listPosixObjects` found, and what it could not see. */
export interface PosixObjectList {
  objects: PosixObject[];
  /** Sentences such as `"message queues: no mqueue file system is mounted …"`; empty when all was seen. */
  unseen: string[];
}

const SHARED_MEMORY_DIR = "/dev/shm";
const SEMAPHORE_PREFIX = "sem.";

/**
 * Lists shared memory, semaphores and message queues that still have a name, whoever made them. On Linux the first two
 * are files in /dev/shm; queues show where the file system `mqueue` is mounted, usually at /dev/mqueue.
 * @example for (const { kind, name } of listPosixObjects().objects) console.log(kind, name);
 */
export function listPosixObjects(): PosixObjectList {
  if (!isLinux) return { objects: [], unseen: ["everything: this system does not list POSIX objects"] };
  const memory = listDirectory(SHARED_MEMORY_DIR, "shared memory and semaphores", inSharedMemoryDir);
  const queueDir = queueMountPoint();
  const queues =
    queueDir === undefined
      ? { objects: [], unseen: [NO_QUEUE_MOUNT] }
      : listDirectory(queueDir, "message queues", inQueueDir);
  return { objects: [...memory.objects, ...queues.objects], unseen: [...memory.unseen, ...queues.unseen] };
}

const NO_QUEUE_MOUNT =
  "message queues: no mqueue file system is mounted (root: mkdir /dev/mqueue && mount -t mqueue none /dev/mqueue)";

function listDirectory(
  directory: string,
  what: string,
  describe: (path: string, file: string, stats: Stats) => PosixObject,
): PosixObjectList {
  try {
    const objects = readdirSync(directory).flatMap((file) => {
      const path = join(directory, file);
      // It may be gone by now; directories and links are not ours.
      const stats = statSync(path, { throwIfNoEntry: false });
      return stats?.isFile() ? [describe(path, file, stats)] : [];
    });
    return { objects, unseen: [] };
  } catch (error) {
    return { objects: [], unseen: [`${what}: ${String(error)}`] };
  }
}

function inSharedMemoryDir(_path: string, file: string, stats: Stats): PosixObject {
  const isSemaphore = file.startsWith(SEMAPHORE_PREFIX);
  const name = isSemaphore ? file.slice(SEMAPHORE_PREFIX.length) : file;
  return describe(isSemaphore ? "semaphore" : "shared memory", name, stats.size, stats);
}

/** The file of a queue says `QSIZE:129 NOTIFY:0 SIGNO:0 NOTIFY_PID:0`: the bytes waiting in it. */
function inQueueDir(path: string, file: string, stats: Stats): PosixObject {
  return describe("message queue", file, queuedBytes(path), stats);
}

/** 0 where we may not look. */
function queuedBytes(path: string): number {
  try {
    return Number(/QSIZE:(\d+)/.exec(readFileSync(path, "utf8"))?.[1] ?? 0);
  } catch {
    return 0;
  }
}

function describe(kind: PosixObject["kind"], name: string, size: number, stats: Stats): PosixObject {
  return { kind, name: `/${name}`, size, mode: stats.mode & 0o777, uid: stats.uid, modified: stats.mtime };
}

/** Where queues are shown, if anywhere. */
function queueMountPoint(): string | undefined {
  const mounts = readFileSync("/proc/self/mounts", "utf8");
  return /^\S+ (\S+) mqueue /m.exec(mounts)?.[1];
}
