/** Who holds a lock and who waits for it, as far as the kernel tells: for the messages of timeouts. */
import type { LockUser, LockUsers } from "../errors/errors.ts";
import { escapeText } from "../errors/show.ts";
import { fs } from "../sys/builtin.ts";
import { throughFs } from "../sys/paths.ts";
import { after, Deadline } from "./deadline.ts";
import type { LockKind, LockMode } from "./file-lock.ts";

/** Which lock on which open file. */
export interface LockQuestion {
  readonly fd: number;
  readonly kind: LockKind;
  /** The mode that was wanted: holders that do not exclude it are not told. */
  readonly mode: LockMode;
}

/** So many open files of all processes are looked at, which takes some 20 ms, and so many of one process. */
const MAX_FILES = 4000;
const MAX_FILES_OF_PROCESS = 1000;

/** How long the event loop is kept from other work at a time. */
const SLICE_MS = 2;

/** Most characters of a command line. */
const COMMAND_LENGTH = 200;

/**
 * A line of /proc/locks, `1: FLOCK  ADVISORY  WRITE 4321 fe:00:123456 0 EOF`; blocked ones have `->` after the number.
 * In /proc/<pid>/fdinfo/<fd> it stands behind `lock:`.
 */
const LINE =
  /^(?:lock:\s+)?\d+: (-> )?(FLOCK|POSIX|OFDLCK) +\S+ +(READ|WRITE) +(-?\d+) ([0-9a-f]+:[0-9a-f]+):(\d+) /;

const TYPES: Readonly<Record<LockKind, readonly string[]>> = { flock: ["FLOCK"], fcntl: ["POSIX", "OFDLCK"] };

interface KernelLock {
  readonly isWaiting: boolean;
  readonly kind: LockKind;
  readonly mode: LockMode;
  /** -1 for a lock of an open file, which names no process; 0 for a process outside of this pid namespace. */
  readonly pid: number;
  readonly device: string;
  readonly inode: string;
}

/** The locks of a file, each with its process. */
type Found = { pid: number; lock: KernelLock }[];

/** Who is in the way. Takes some 20 ms at most, however many files are open. */
export function findUsers(question: LockQuestion): LockUsers {
  const search = users(question);
  for (;;) {
    const { done, value } = search.next();
    if (done) return value;
  }
}

/** Like `findUsers`, without keeping the event loop for more than some 2 ms at a time. */
export async function findUsersAsync(question: LockQuestion): Promise<LockUsers> {
  const search = users(question);
  let slice = new Deadline(SLICE_MS);
  for (;;) {
    const { done, value } = search.next();
    if (done) return value;
    if (!slice.isOver) continue;
    await new Promise<void>((resolve) => after(0, resolve));
    slice = new Deadline(SLICE_MS);
  }
}

/** Users as the end of a sentence. @example "held by process 4321 (bun server.ts)" */
export function describeUsers({ holders, waiters }: LockUsers): string {
  if (holders.length > 0) return `held by ${describe(holders)}`;
  if (waiters.length > 0)
    return `it is free, but ${describe(waiters)} is first in the queue and does not run`;
  return "the kernel names no holder: it let go just now, or is in another container or on another machine";
}

/** Whether a lock that excludes `mode` is held by this very process, through any descriptor. */
export function isHeldByThisProcess(question: LockQuestion): boolean {
  return locksOf(question.fd).some(
    (lock) => isInTheWay(lock, question) && (lock.pid === process.pid || lock.pid === -1),
  );
}

/** Descriptors of this process that hold the lock in any mode. */
export function ownDescriptors({ fd, kind }: LockQuestion): { fd: number; mode: LockMode }[] {
  const inode = String(throughFs(() => fs().fstatSync(fd, { bigint: true })).ino);
  return list("/proc/self/fdinfo").flatMap((name) =>
    locksIn(`/proc/self/fdinfo/${name}`)
      .filter((lock) => lock.kind === kind && lock.inode === inode)
      .map(({ mode }) => ({ fd: Number(name), mode })),
  );
}

/** Processes that hold locks, by the inode of the file; those that the kernel names without a search. */
export function holdersByInode(): Map<string, number[]> {
  const holders = new Map<string, number[]>();
  for (const { inode, isWaiting, pid } of locksIn("/proc/locks")) {
    if (isWaiting || pid <= 0) continue;
    const others = holders.get(inode) ?? [];
    if (!others.includes(pid)) holders.set(inode, [...others, pid]);
  }
  return holders;
}

/** Searches in small steps: each `yield` is a moment to stop for a while. */
function* users(question: LockQuestion): Generator<undefined, LockUsers> {
  const { fd, kind } = question;
  const locks = locksOf(fd).map(withoutDead);
  const holding = locks.filter((lock) => isInTheWay(lock, question));
  // The turnstile is a lock of the other kind on the same file.
  const waiting = locks.filter((lock) => lock.kind !== kind || lock.isWaiting);
  const found: Found = [...holding, ...waiting]
    .filter(({ pid }) => pid !== -1)
    .map((lock) => ({ pid: lock.pid, lock }));
  const missing = [...holding, ...waiting].filter(({ pid }) => pid === -1);
  if (missing.length > 0) yield* findByOpenFiles(fd, missing, found);
  const isHolder = ({ lock }: Found[number]): boolean => lock.kind === kind && !lock.isWaiting;
  return {
    holders: describedOnce(found.filter(isHolder)),
    waiters: describedOnce(found.filter((one) => !isHolder(one) && one.pid !== process.pid)),
  };
}

/**
 * The kernel names the process that took the lock. Where that has ended, another has its open file: a script that calls
 * flock(1) on a descriptor of its own, a child. Such a lock is looked for as one that names no process, and so is that of a process
 * in another pid namespace, whose open file a process here may have.
 */
const withoutDead = (lock: KernelLock): KernelLock =>
  lock.pid === 0 || (lock.pid > 0 && !fs().existsSync(`/proc/${lock.pid}`)) ? { ...lock, pid: -1 } : lock;

function isInTheWay(lock: KernelLock, { kind, mode }: LockQuestion): boolean {
  return !lock.isWaiting && lock.kind === kind && (mode === "exclusive" || lock.mode === "exclusive");
}

/** Locks of open files name no process, but the processes' open files name their locks. */
function* findByOpenFiles(
  fd: number,
  missing: readonly KernelLock[],
  found: Found,
): Generator<undefined, void> {
  const wanted = missing.map(({ kind, mode, inode }) => `${kind} ${mode} ${inode}`);
  const name = fileName(`/proc/self/fd/${fd}`);
  let left = missing.length;
  let files = 0;
  for (const pid of [String(process.pid), ...list("/proc")].filter((entry) => /^\d+$/.test(entry))) {
    for (const descriptor of list(`/proc/${pid}/fd`).slice(0, MAX_FILES_OF_PROCESS)) {
      // To read the name takes a fifth of the time. The directories may differ: the other process may see other mounts.
      const isOurs = fileName(`/proc/${pid}/fd/${descriptor}`) === name;
      const locks = isOurs ? locksIn(`/proc/${pid}/fdinfo/${descriptor}`) : [];
      for (const lock of locks.map(withoutDead)) {
        if (lock.pid !== -1 || !wanted.includes(`${lock.kind} ${lock.mode} ${lock.inode}`)) continue;
        found.push({ pid: Number(pid), lock });
        left -= 1;
      }
      if (left <= 0) return;
      if (++files >= MAX_FILES) return addUnknown(missing, found);
      yield;
    }
  }
  addUnknown(missing, found);
}

/** The last part of the path of an open file. */
function fileName(link: string): string {
  try {
    return fs()
      .readlinkSync(link)
      .replace(/^.*\/| \(deleted\)$/g, "");
  } catch {
    return "";
  }
}

/** What was not found is told all the same. */
function addUnknown(missing: readonly KernelLock[], found: Found): void {
  for (const lock of missing) {
    const isFound = found.some((one) => one.lock.kind === lock.kind && one.lock.mode === lock.mode);
    if (!isFound) found.push({ pid: 0, lock });
  }
}

const describedOnce = (found: Found): LockUser[] => {
  const users = new Map(found.map(({ pid, lock }) => [pid, { pid, mode: lock.mode }]));
  return [...users.values()].map(({ pid, mode }) => ({
    pid,
    mode,
    command: commandOf(pid),
    state: stateOf(pid),
  }));
};

/** All locks on an open file. */
function locksOf(fd: number): KernelLock[] {
  const { dev, ino } = throughFs(() => fs().fstatSync(fd, { bigint: true }));
  const onInode = locksIn("/proc/locks").filter(({ inode }) => inode === String(ino));
  // Layered file systems show another device to stat than to the lock table; then the inode has to do.
  const exact = onInode.filter(({ device }) => device === deviceName(dev));
  return exact.length > 0 ? exact : onInode;
}

function locksIn(path: string): KernelLock[] {
  return readText(path)
    .split("\n")
    .map((line) => LINE.exec(line))
    .filter((match) => match !== null)
    .map(([, blocked, type, access, pid, device, inode]) => ({
      isWaiting: blocked !== undefined,
      kind: TYPES.flock.includes(type!) ? "flock" : "fcntl",
      mode: access === "WRITE" ? "exclusive" : "shared",
      pid: Number(pid),
      device: device!,
      inode: inode!,
    }));
}

/** Empty for what is gone, or not ours to see. */
function list(directory: string): string[] {
  try {
    return fs().readdirSync(directory);
  } catch {
    return [];
  }
}

function readText(path: string): string {
  try {
    return fs().readFileSync(path, "latin1");
  } catch {
    return "";
  }
}

/** `major:minor` in hexadecimal, from the number that stat gives (glibc's gnu_dev_major and gnu_dev_minor). */
function deviceName(dev: bigint): string {
  const major = ((dev >> 8n) & 0xfffn) | ((dev >> 32n) & ~0xfffn);
  const minor = (dev & 0xffn) | ((dev >> 12n) & ~0xffn);
  return `${major.toString(16).padStart(2, "0")}:${minor.toString(16).padStart(2, "0")}`;
}

/** The arguments, or, of a thread of the kernel, its name. */
function commandOf(pid: number): string {
  if (pid <= 0) return "";
  const text = readText(`/proc/${pid}/cmdline`).replaceAll("\0", " ").trim();
  const utf8 = Buffer.from(text || readText(`/proc/${pid}/comm`).trim(), "latin1").toString();
  return utf8.slice(0, COMMAND_LENGTH);
}

/** The letter behind the name, which is in brackets and may hold any characters. */
function stateOf(pid: number): LockUser["state"] {
  const letter = pid > 0 ? /\) (\S)[^)]*$/.exec(readText(`/proc/${pid}/stat`))?.[1] : undefined;
  if (letter === undefined) return "unknown";
  return letter === "T" || letter === "t" ? "stopped" : "running";
}

const describe = (users: readonly LockUser[]): string => users.map(describeUser).join(" and ");

function describeUser({ pid, command, state }: LockUser): string {
  if (pid === 0) return "a process that cannot be seen from here";
  if (pid === process.pid) return `process ${pid}, this one, in another thread or asynchronous task`;
  // A process can give itself any name.
  const name = command === "" ? `process ${pid}` : `process ${pid} (${escapeText(command)})`;
  return state === "stopped" ? `${name}, which is stopped` : name;
}
