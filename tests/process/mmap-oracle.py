"""Runs sequences of operations on Python's mmap: one JSON list of sequences per line in, one list of logs out.

Where an older Python differs from today's documentation, or leaves behaviour to the kernel, the comment says so.
"""
import json
import mmap
import operator
import os
import sys
import tempfile
import zlib

WHENCE = {"set": 0, "current": 1, "end": 2}
ACCESS = {"read": mmap.ACCESS_READ, "write": mmap.ACCESS_WRITE, "copy": mmap.ACCESS_COPY}


def data(value):
    return bytes.fromhex(value[1:]) if isinstance(value, str) and value.startswith("x") else value


def seek(m, offset, whence="set"):
    m.seek(offset, WHENCE.get(whence, 7))
    return m.tell()  # what seek itself returns since 3.13


def resize(m, length):
    if length == 0:
        length = -1  # Python would cut the file and then fail, leaving a map that kills the process
    if m.anonymous and isinstance(length, int) and 0 < length < len(m):
        m[length:] = bytes(len(m) - length)  # else the bytes of the last page are back when it grows again
    if not m.closed:
        m.madvise(mmap.MADV_NORMAL)  # mremap fails on a file whose parts were advised differently
    m.resize(length)


def aligned(call, start):
    try:
        return call()
    except OSError:
        if start % mmap.PAGESIZE != 0:
            raise ValueError("not the start of a page")
        raise


def madvise(m, option, *rest):
    if option == 12345 and all(isinstance(part, int) for part in rest):
        raise ValueError("MemoryMap passes no advice that it does not know, Python any")
    if m.anonymous and option in (mmap.MADV_RANDOM, mmap.MADV_SEQUENTIAL):
        option = mmap.MADV_NORMAL  # private memory once advised in parts may never be one for mremap again
    return aligned(lambda: m.madvise(option, *rest), rest[0] if rest else 0)


# Python 3.11.2, for one, reads beyond the end of the map while it searches, and may crash; its bytes do not.
with mmap.mmap(-1, 10) as probe:
    READS_OUTSIDE = probe.rfind(b"", 3, 1) != -1


def inside(position, length):
    position = operator.index(position)
    return min(max(position + length if position < 0 else position, 0), length)


def search(method):
    def on_bytes(m, what, start=None, end=None):
        start = inside(m.tell() if start is None else start, len(m))
        end = inside(len(m) if end is None else end, len(m))
        return getattr(m[:], method)(what, start, end)

    def call(m, what, *rest):
        return (on_bytes if READS_OUTSIDE else getattr(mmap.mmap, method))(m, data(what), *rest)

    return call


def view_set(m, index, value):
    with memoryview(m) as view:
        view[index % len(view)] = value


def set_slice(m, value, start=None, end=None, step=None):
    m[start:end:step] = data(value)


def iterate(m):
    # mmap itself gives bytes of length 1, a class that extends it gives numbers.
    return zlib.crc32(bytes(item[0] if isinstance(item, bytes) else item for item in m))


def whole(m):
    with memoryview(m) as view:
        return bytes(view)


OPERATIONS = {
    "read": lambda m, *a: m.read(*a),
    "readByte": lambda m: m.read_byte(),
    "readLine": lambda m: m.readline(),
    "write": lambda m, d: m.write(data(d)),
    "writeByte": lambda m, v: m.write_byte(v),
    "find": search("find"),
    "rfind": search("rfind"),
    "seek": seek,
    "tell": lambda m: m.tell(),
    "size": lambda m: len(m) if m.anonymous else m.size(),
    "length": lambda m: len(m),
    "flush": lambda m, *a: aligned(lambda: m.flush(*a), a[0] if a else 0),
    "madvise": madvise,
    "move": lambda m, d, s, n: m.move(d, s, n),
    "at": lambda m, i: m[i],
    "set": lambda m, i, v: m.__setitem__(i, v),
    "slice": lambda m, *a: m[slice(*(list(a) + [None] * 3)[:3])],
    "setSlice": set_slice,
    "resize": resize,
    "growTo": lambda m, more: resize(m, (len(m) if m.anonymous else m.size() - m.offset) + more),
    "iterate": iterate,
    "bytes": lambda m: zlib.crc32(whole(m)),
    "bytesSet": view_set,
    "closed": lambda m: m.closed,
    "close": lambda m: m.close(),
}


class Map(mmap.mmap):
    anonymous = False
    offset = 0


def kind(error, m):
    if m.closed and isinstance(error, ValueError):
        return "closed"
    if isinstance(error, (ValueError, IndexError, OverflowError)):
        return "range"
    if isinstance(error, OSError):
        return "system"
    return "type"


def outcome(m, name, arguments):
    try:
        result = OPERATIONS[name](m, *arguments)
    except Exception as error:
        result = {"error": kind(error, m)}
    if isinstance(result, bytes):
        result = "x" + (result.hex() if len(result) <= 64 else str(zlib.crc32(result)))
    return [result, -1 if m.closed else m.tell()]


def open_map(path, options):
    if path is None:
        # Shared anonymous memory cannot grow on Linux; private memory is the same to a process without children.
        m = Map(-1, options["length"], flags=mmap.MAP_PRIVATE)
        m.anonymous = True
        return m
    fd = os.open(path, os.O_RDWR)
    try:
        m = Map(fd, options["length"], access=ACCESS[options["access"]], offset=options["offset"])
    finally:
        os.close(fd)
    m.offset = options["offset"]
    return m


def run(sequence, directory):
    path = None
    if sequence["fileBytes"] is not None:
        path = os.path.join(directory, "file")
        pattern = bytes.fromhex(sequence["pattern"])
        with open(path, "wb") as file:
            file.write((pattern * (sequence["fileBytes"] // len(pattern) + 1))[: sequence["fileBytes"]])
    try:
        maps = [open_map(path, options) for options in sequence["maps"]]
    except Exception as error:
        return {"opening": "system" if isinstance(error, OSError) else "range"}
    steps = [outcome(maps[which], name, arguments) for which, name, arguments in sequence["operations"]]
    final = [None if m.closed else zlib.crc32(whole(m)) for m in maps]
    for m in maps:
        m.close()
    file = None
    if path is not None:
        with open(path, "rb") as handle:
            content = handle.read()
        file = [len(content), zlib.crc32(content)]
        os.unlink(path)
    return {"steps": steps, "final": final, "file": file}


with tempfile.TemporaryDirectory() as directory:
    for line in sys.stdin:
        print(json.dumps([run(sequence, directory) for sequence in json.loads(line)]), flush=True)
