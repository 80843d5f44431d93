/**
 * What opening a file and reading a field take without a library: the system calls through bun:ffi, the checks of the footer that
 * keep a reader from another file's bytes, a DataView. by-hand.ts <dir>
 */
const start = Bun.nanoseconds();
const { dlopen, toArrayBuffer } = await import("bun:ffi");
const imported = Bun.nanoseconds();

const [dir = ""] = process.argv.slice(2);
const text = (path: string): Buffer => Buffer.from(`${path}\0`);
const data = text(`${dir}/DemoMmapStructure_.mmap`);
const lock = text(`${dir}/DemoMmapStructure_.lock`);
/** data_xy.x of point 3 of multi_pts. */
const FIELD = Number(process.argv[3]);

const libc = (): ReturnType<typeof load> => (loaded ??= load());
let loaded: ReturnType<typeof load> | undefined;
const load = () =>
  dlopen("libc.so.6", {
    open: { args: ["ptr", "i32"], returns: "i32" },
    close: { args: ["i32"], returns: "i32" },
    flock: { args: ["i32", "i32"], returns: "i32" },
    lseek: { args: ["i32", "i64", "i32"], returns: "i64" },
    mmap: { args: ["ptr", "u64", "i32", "i32", "i32", "i64"], returns: "ptr" },
    munmap: { args: ["ptr", "u64"], returns: "i32" },
  }).symbols;

const right = (result: number): number => {
  if (result < 0) throw new Error("a system call failed");
  return result;
};

function open(): number {
  const { open, close, flock, lseek, mmap, munmap } = libc();
  const file = right(open(data, 0o2000000));
  const held = right(open(lock, 0o2000002));
  const byteLength = Number(lseek(file, 0, 2));
  const address = mmap(null, byteLength, 1, 1, file, 0);
  if (address === null) throw new Error("mmap failed");
  const view = new DataView(toArrayBuffer(address, 0, byteLength));
  const footer = byteLength - 128;
  if (view.getUint32(footer, true) !== 0x736d6873 || view.getUint32(footer + 8, true) !== 2)
    throw new Error("not such a file");
  right(flock(held, 1));
  if (Number(lseek(file, 0, 2)) !== byteLength) throw new Error("truncated");
  const value = view.getFloat64(FIELD, true);
  right(flock(held, 8));
  right(munmap(address, BigInt(byteLength)));
  right(close(file));
  right(close(held));
  return value;
}

const value = open();
const opened = Bun.nanoseconds();
if (value !== 3.5) throw new Error(`read ${value}`);
open();
const again = Bun.nanoseconds();
console.log(JSON.stringify({ import: imported - start, first: opened - imported, again: again - opened }));

export {};
