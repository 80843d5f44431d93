/** Segments of every kind that the command is tried on, and how it is run. */
import { mkdirSync, mkdtempSync, rmSync, symlinkSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Publisher } from "../../src/channel/index.ts";
import { JsonMap } from "../../src/document/index.ts";
import {
  array,
  c_double,
  c_int32,
  c_int64,
  c_uint8,
  chars,
  convert,
  enumOf,
  field,
  Manager,
  MmapStructure,
  nested,
  Struct,
  type StructArray,
} from "../../src/index.ts";
import { Queue } from "../../src/queue/index.ts";
import { commandAt } from "../support/programs.ts";

export class Point extends Struct {
  @field(c_double) x!: number;
  @field(c_double) y!: number;
}
const Mode = { idle: 0, moving: 1 } as const;
export class Robot extends MmapStructure {
  @field(c_int32) speed!: number;
  @field(c_int64) serial!: bigint;
  @field(enumOf(c_int32, Mode)) mode!: 0 | 1;
  @field(chars(16)) name!: string;
  @nested(Point) pose!: Point;
  @nested(Point, 3) path!: StructArray<Point>;
}
export class Frame extends Struct {
  @field(c_int32) width!: number;
  @field(array(c_uint8, 4)) pixels!: Uint8Array;
}
export class Task extends Struct {
  @field(c_int32) id!: number;
}

/** An order to the terminal, a bell, a new line and a change of text direction. */
export const EVIL = "\u001b[2J\u202e\u0007";
const evilType = convert(c_int32, {
  name: `c_int32${EVIL}`,
  decode: (stored) => stored,
  encode: (value) => value as number,
});
class Hostile extends MmapStructure {
  @field(evilType) n!: number;
  @field(enumOf(c_int32, { [EVIL]: 1 })) mode!: 1;
  @field(chars(32)) text!: string;
}

export interface Fixtures extends Disposable {
  readonly dir: string;
  /** Paths. */
  readonly robot: string;
  readonly config: string;
  readonly frames: string;
  readonly tasks: string;
  readonly hostile: string;
  readonly publisher: Publisher<Frame>;
  readonly queue: Queue<Task>;
  readonly manager: Manager<Robot>;
}

export function makeFixtures(): Fixtures {
  const dir = mkdtempSync(join(tmpdir(), "shmstruct-cli-"));
  const manager = new Manager(Robot, { dir, create: true });
  manager.edit((data) => {
    Object.assign(data, { speed: 7, serial: 2n ** 60n, mode: Mode.moving, name: "arm" });
    Object.assign(data.pose, { x: 1.5, y: -2 });
  });
  using map = new JsonMap<unknown>({ dir, file: "config.json", role: "master", create: true });
  map.update(() => ({ port: 80, hosts: ["a", EVIL], [EVIL]: true }));
  const publisher = new Publisher(Frame, { dir, create: true });
  for (const width of [1, 2, 3]) publisher.send({ width });
  const queue = new Queue(Task, { dir, create: true, slots: 8, maxAttempts: 2 });
  for (const id of [10, 11, 12]) queue.push({ id });
  using hostile = new Manager(Hostile, {
    dir,
    create: true,
    init: (data) => {
      data.mode = 1;
      data.text = EVIL;
    },
  });
  // A program's directory, where names are looked for.
  mkdirSync(join(dir, "app"));
  symlinkSync(dir, join(dir, "app/.mmap"));
  return {
    dir,
    manager,
    publisher,
    queue,
    robot: manager.path,
    config: map.path,
    frames: publisher.path,
    tasks: queue.path,
    hostile: hostile.path,
    [Symbol.dispose]: () => {
      for (const open of [publisher, queue, manager]) open.close();
      rmSync(dir, { recursive: true, force: true });
    },
  };
}

export const MAIN: string = join(import.meta.dir, "../../src/cli/main.ts");

export interface Ran {
  readonly out: string;
  readonly err: string;
  readonly code: number | null;
}

export interface RunOptions {
  readonly cwd?: string;
  readonly env?: Readonly<Record<string, string>>;
}

/** Runs the command, in pipes. */
export async function run(args: readonly string[], { cwd, env }: RunOptions = {}): Promise<Ran> {
  const child = Bun.spawn([process.execPath, commandAt(MAIN, args), ...args], {
    ...(cwd !== undefined && { cwd }),
    env: { ...process.env, ...env },
    stdout: "pipe",
    stderr: "pipe",
  });
  const [out, err, code] = await Promise.all([child.stdout.text(), child.stderr.text(), child.exited]);
  return { out, err, code };
}

/** The values of a command that prints JSON. */
export const jsonLines = ({ out }: Ran): unknown[] =>
  out
    .split("\n")
    .filter((line) => line !== "")
    .map((line) => JSON.parse(line));
