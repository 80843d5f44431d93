/**
 * A user's program under every strict flag, and without experimentalDecorators: checked by `tsc`, never run.
 * Options that a program has not set are passed as undefined, as argument parsers and environment variables give them.
 */
import {
  type AnyStruct,
  type Atomic,
  array,
  assign,
  atomic,
  bits,
  type CType,
  c_double,
  c_float,
  c_int32,
  c_int64,
  c_uint8,
  chars,
  convert,
  create,
  type DeepReadonly,
  Editor,
  enumOf,
  FileMissingError,
  field,
  type Init,
  LockTimeoutError,
  layoutOf,
  Manager,
  type ManagerOptions,
  MmapStructure,
  nested,
  openReader,
  type Path,
  type Plain,
  Reader,
  type ReadSession,
  type RoleOptions,
  Struct,
  type StructArray,
  type StructClass,
  SystemError,
  struct,
  structFromSchema,
  toObject,
  viewOf,
  type WriteSession,
} from "shmstruct";
import { type FollowerOptions, type JsonFollower, JsonMap, type JsonMaster } from "shmstruct/json";
import { MAP_SHARED, MemoryMap, type MemoryMapOptions, PROT_READ } from "shmstruct/mmap";
import { MessageQueue, O_CREAT, Semaphore, SharedMemory } from "shmstruct/posix";

const unset: undefined = undefined;
declare const timeoutMs: number | undefined;
declare const signal: AbortSignal | undefined;

/** A type of the user's own. */
const fixed16: CType<number> = {
  name: "fixed16",
  size: 4,
  align: 4,
  schema: unset,
  read: (memory, byteOffset) => memory.view.getInt32(byteOffset, memory.littleEndian) / 65536,
  write: (memory, byteOffset, value) => memory.view.setInt32(byteOffset, value * 65536, memory.littleEndian),
  check: (value) => Number(value),
};
const day = convert(c_int64, {
  name: "day",
  decode: (stored) => new Date(Number(stored)),
  encode: (value) => BigInt(Number(value)),
  labels: unset,
});
const Gear = { park: 0, drive: 1 } as const;

class Point2D extends Struct {
  @field(c_double) x!: number;
  @field(c_double) y!: number;

  norm(): number {
    return Math.hypot(this.x, this.y);
  }

  override toString(): string {
    return `${this.x}, ${this.y}`;
  }
}

@struct({ pack: unset, align: 16, endian: unset, name: "Robot" })
class Robot extends MmapStructure {
  @field(c_int32) tick!: number;
  @field(chars(32, { encoding: unset })) name!: string;
  @field(array(c_float, 6)) joints!: Float32Array;
  @field(atomic(c_int32)) counter!: Atomic<number>;
  @field(enumOf(c_uint8, Gear)) gear!: 0 | 1;
  @field(fixed16) angle!: number;
  @field(day) built!: Date;
  @bits(c_uint8, 3) low!: number;
  @nested(Point2D) pose!: Point2D;
  @nested(Point2D, 24) path!: StructArray<Point2D>;
}

export function structs(): Plain<Robot> {
  const init: Init<Robot> = { tick: 1, pose: { x: 1 }, path: [{ y: 2 }], joints: [1, 2] };
  const robot = create(Robot, init);
  const again: Robot = viewOf(Robot, new SharedArrayBuffer(4096), 0);
  again.pose = robot.pose;
  again.joints[0] = 0.5;
  const Copy = structFromSchema(layoutOf(Robot), { types: [fixed16] });
  const copy = viewOf(Copy, new ArrayBuffer(4096));
  assign(copy, { tick: again.counter.add(1) + (again.path[3]?.norm() ?? 0) });
  return toObject(again);
}

export async function reads(options: RoleOptions): Promise<string | undefined> {
  using reader: Reader<Robot> = new Reader(Robot, { ...options, dir: unset, tag: unset, lockDir: unset });
  const path: Path<Robot> = "path.3.x";
  const x: number = reader.get(path);
  const { joints }: Robot = reader.snapshot();
  {
    using session: ReadSession<Robot, DeepReadonly<Robot>> = await reader.lockAsync({ timeoutMs, signal });
    const total = session.data.pose.norm() + session.get("pose.y") + reader.live.counter.load();
    reader.live.counter.wait(0, { timeoutMs });
    if (total > x) return `${session.released} ${joints[0]?.toFixed(1)}`;
  }
  for await (const version of reader.changes({ signal, spinMs: unset })) {
    if (reader.waitForChange({ timeoutMs })) return String(version);
  }
  return reader.lastUpdate?.toISOString();
}

export function writes(options: ManagerOptions): number {
  using manager: Manager<Robot> = new Manager(Robot, { ...options, create: true, mode: unset, lock: unset });
  using editor: Editor<Robot> = new Editor(Robot, { touch: unset });
  using session: WriteSession<Robot> | undefined = editor.tryLock();
  session?.set("pose", { x: 1, y: 2 });
  session?.rollback();
  manager.set("name", "R2-D2");
  return editor.edit((data) => data.tick++, { timeoutMs });
}

/** What a class of the user's own that holds a role looks like. */
export class Gauge<T extends MmapStructure> implements Disposable {
  readonly #reader: Reader<T>;

  constructor(cls: StructClass<T>) {
    this.#reader = new Reader<T>(cls);
  }

  get view(): DeepReadonly<T> {
    return this.#reader.live;
  }

  [Symbol.dispose](): void {
    this.#reader.close();
  }
}

export function tool(path: string): unknown {
  using reader: Reader<AnyStruct> = openReader(path, { lockDir: unset, types: unset });
  const { tick } = reader.snapshot();
  return tick;
}

export function explain(error: unknown): string | undefined {
  if (error instanceof SystemError) return `${error.syscall} ${error.errno} ${error.path ?? ""}`;
  if (error instanceof LockTimeoutError) return `${error.path} after ${error.timeoutMs} ms`;
  return error instanceof FileMissingError ? error.path : unset;
}

export function maps(): number {
  const options: MemoryMapOptions = { access: unset, flags: MAP_SHARED, prot: PROT_READ, offset: unset };
  using map = new MemoryMap("data.bin", 0, options);
  const header: Point2D = viewOf(Point2D, map);
  return map.find("\0") + header.x + (map.read(4)[0] ?? 0);
}

interface Config {
  port: number;
  host?: string;
}

export async function documents(followed: FollowerOptions & { schema?: undefined }): Promise<number> {
  using master: JsonMaster<Config> = new JsonMap<Config>({ file: "a.mmap", role: "master", grow: unset });
  using follower: JsonFollower<Config> = new JsonMap<Config>({ ...followed, dir: unset, schema: unset });
  master.write({ port: 80 }, { timeoutMs });
  master.update((config = { port: 80 }) => ({ ...config, host: "localhost" }));
  for await (const { port } of follower.changes({ initial: true, signal })) return port;
  return (await follower.waitForFirst({ timeoutMs })).port;
}

export async function objects(): Promise<Point2D> {
  using semaphore = new Semaphore({ name: "/s", flags: O_CREAT, initialValue: 0, mode: unset });
  await semaphore.acquireAsync({ signal, timeoutMs });
  using memory = new SharedMemory({ name: "/m", flags: O_CREAT, size: 4096, readOnly: unset });
  using map = memory.map({ byteLength: unset, access: "read" });
  using queue = new MessageQueue({ name: "/q", message: Point2D, maxMessages: unset });
  queue.send({ x: map.length }, { priority: unset, timeoutMs });
  const [message] = await queue.receiveAsync({ signal });
  return message;
}
