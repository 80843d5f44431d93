/**
 * What this process has open, as the kernel sees it. Only ours is counted, by its name: Bun opens and closes
 * descriptors, maps memory and starts threads of its own at any time, and so do other test files in this process.
 */
import { readdirSync, readFileSync, readlinkSync } from "node:fs";

/** How many descriptors are open on files with `part` in their path, removed ones included. */
export const descriptorsOf = (part: string): number =>
  readdirSync("/proc/self/fd").filter((fd) => linkOf(`/proc/self/fd/${fd}`).includes(part)).length;

/** How many mappings there are of files with `part` in their path. */
export const mappingsOf = (part: string): number =>
  readFileSync("/proc/self/maps", "utf8")
    .split("\n")
    .filter((line) => line.includes(part)).length;

/** The files with `part` in their path on which a descriptor is open or which are mapped, once for each. */
export const openIn = (part: string): string[] =>
  [
    ...readdirSync("/proc/self/fd").map((fd) => linkOf(`/proc/self/fd/${fd}`)),
    ...readFileSync("/proc/self/maps", "utf8")
      .split("\n")
      .map((line) => line.slice(line.indexOf("/"))),
  ].filter((path) => path.includes(part));

/** The kernel's numbers of the threads of the workers that there are. */
export const workerIds = (): string[] =>
  readdirSync("/proc/self/task").filter((id) => nameOf(`/proc/self/task/${id}/comm`) === "Worker\n");

/** How many workers there are. */
export const workers = (): number => workerIds().length;

function linkOf(link: string): string {
  try {
    return readlinkSync(link);
  } catch {
    return ""; // closed meanwhile, as the descriptor with which the directory was read
  }
}

function nameOf(file: string): string {
  try {
    return readFileSync(file, "utf8");
  } catch {
    return ""; // it ended meanwhile
  }
}
