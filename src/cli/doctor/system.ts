/** What can be wrong with the machine and with directories. */
import { readdirSync, readFileSync, statfsSync } from "node:fs";
import { directoryOf } from "../../sys/paths.ts";
import { statusAt } from "../../sys/status.ts";
import { bytesText } from "../output.ts";
import { fault, type Problem, risk } from "./problem.ts";

const SHARED_MEMORY = "/dev/shm";
/** In percent. */
const FULL = 95;
const LEAST_DESCRIPTORS = 1024;
/** Users of people begin there (SYS_UID_MAX of systemd). */
const FIRST_PERSON = 1000;

/** The machine, as tests replace it. */
export interface Machine {
  /** The text of a file; undefined when it cannot be read. */
  read(path: string): string | undefined;
  /** The names in a directory; none when it cannot be read. */
  list(directory: string): readonly string[];
  /** The user id of a file's owner; undefined when there is no such file. */
  owner(path: string): number | undefined;
  /** Undefined when there is no such directory. */
  fileSystem(directory: string): FileSystem | undefined;
}

/** What statfs(2) tells. */
export interface FileSystem {
  /** The magic number of its kind. */
  readonly type: number;
  readonly bytes: number;
  readonly freeBytes: number;
}

function attempt<T>(call: () => T): T | undefined {
  try {
    return call();
  } catch {
    return undefined;
  }
}

export const thisMachine: Machine = {
  read: (path) => attempt(() => readFileSync(path, "utf8")),
  list: (directory) => attempt(() => readdirSync(directory)) ?? [],
  owner: (path) => attempt(() => statusAt(path)?.owner),
  fileSystem: (directory) =>
    attempt(() => {
      const { type, blocks, bavail, bsize } = statfsSync(directory);
      return { type, bytes: blocks * bsize, freeBytes: bavail * bsize };
    }),
};

/** Of the machine as a whole. */
export const machineProblems = (machine: Machine): Problem[] => [
  ...descriptors(machine),
  ...removeIpc(machine),
];

/** The limit of open files of this process, which those started likewise have, too. */
function descriptors(machine: Machine): Problem[] {
  const [, soft = ""] = /^Max open files +(\d+)/m.exec(machine.read("/proc/self/limits") ?? "") ?? [];
  if (soft === "" || Number(soft) >= LEAST_DESCRIPTORS) return [];
  const problem = `a process may have ${soft} open files; a segment takes up to four`;
  return [risk("/proc/self/limits", problem, "raise it: ulimit -n 4096, or LimitNOFILE= of the service")];
}

/** Of the main files the first that is there counts, of drop-ins with one name the first; all drop-ins come after it, by name. */
const LOGIND = ["/etc", "/run", "/usr/local/lib", "/usr/lib"].map((root) => `${root}/systemd/logind.conf`);

/** logind.conf(5): what RemoveIPC is in the end; undefined where no file says. */
function removeIpcSetting(machine: Machine): string | undefined {
  const main = LOGIND.map((file) => machine.read(file)).find((text) => text !== undefined);
  const dropIns = new Map<string, string>();
  for (const file of LOGIND)
    for (const name of machine.list(`${file}.d`))
      if (name.endsWith(".conf") && !dropIns.has(name)) dropIns.set(name, `${file}.d/${name}`);
  const texts = [
    main,
    ...[...dropIns].toSorted(([a], [b]) => (a < b ? -1 : 1)).map(([, path]) => machine.read(path)),
  ];
  const settings = texts.flatMap((text = "") =>
    Array.from(text.matchAll(/^[ \t]*RemoveIPC[ \t]*=[ \t]*(\w+)/gm), ([, value = ""]) => value),
  );
  return settings.at(-1);
}

/** By default logind removes a person's shared memory when the last session ends. */
function removeIpc(machine: Machine): Problem[] {
  if (machine.list("/run/systemd/seats").length + machine.list("/run/systemd/users").length === 0) return [];
  if (/^(?:no|n|false|f|0|off)$/i.test(removeIpcSetting(machine) ?? "yes")) return [];
  const owners = machine.list(SHARED_MEMORY).map((name) => machine.owner(`${SHARED_MEMORY}/${name}`));
  if (!owners.some((owner) => owner !== undefined && owner >= FIRST_PERSON)) return [];
  return [
    risk(
      SHARED_MEMORY,
      "RemoveIPC is on: what a person has in /dev/shm goes when the last session of this person ends",
      "RemoveIPC=no in /etc/systemd/logind.conf, or a system user, or loginctl enable-linger USER",
    ),
  ];
}

const OVERLAY = 0x794c_7630;
const NFS = 0x6969;
const CIFS = 0xff53_4d42;
const SMB2 = 0xfe53_4d42;
const NETWORK: ReadonlySet<number> = new Set([NFS, CIFS, SMB2]);

/** Of one directory with segments. */
export function directoryProblems(directory: string, machine: Machine): Problem[] {
  const system = machine.fileSystem(directory);
  if (system === undefined) return [];
  return [...fullness(directory, system), ...kindProblems(directory, system)];
}

function fullness(directory: string, { bytes, freeBytes }: FileSystem): Problem[] {
  const percent = bytes === 0 ? 0 : Math.round((100 * (bytes - freeBytes)) / bytes);
  if (percent < FULL) return [];
  const problem = `its file system is ${percent} % full: ${bytesText(freeBytes)} of ${bytesText(bytes)} are left, and new segments need room`;
  const advice =
    directoryOf(`${directory}/x`) === SHARED_MEMORY
      ? "shmstruct top shows the largest; remove what is not needed, or mount -o remount,size=… /dev/shm (docker run --shm-size=…)"
      : "remove what is not needed";
  return [fault(directory, problem, advice)];
}

function kindProblems(directory: string, { type }: FileSystem): Problem[] {
  if (NETWORK.has(type))
    return [
      fault(
        directory,
        "it is on a network file system: processes of other machines do not see each other's memory",
        "use a local directory or /dev/shm; shmstruct mirror copies segments between machines",
      ),
    ];
  if (type !== OVERLAY) return [];
  return [
    risk(
      directory,
      "it is on overlayfs: a file of the image that was opened before its first writer stays the old one for that process",
      "use a volume or /dev/shm; do not put segments into the image",
    ),
  ];
}
