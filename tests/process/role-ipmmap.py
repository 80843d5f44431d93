"""A process as IPMMAP's are: its file format, its lock, one open and one mapping per access. Needs fasteners.

    role-ipmmap.py <mmap dir> <fastener dir>

Each line on standard input is a job in JSON, answered with a line:

    ["create"]                   writes the file in place, as its Manager does with force
    ["edit", rounds, pause]      counts up under the write lock; answers how often it found a mix of two edits
    ["watch", rounds, pause]     reads under the read lock; the same answer
    ["get"], ["set", values]     all fields, some fields
    ["clear"]                    zeroes the struct, header code included
    ["try", "read" | "write"]    whether the lock is free
    ["hold", "read" | "write"], ["release"]
"""
import ctypes
import json
import mmap
import pathlib
import sys
import time

import fasteners


class Header(ctypes.Structure):
    _fields_ = (("header_code", ctypes.c_short), ("time_stamp", ctypes.c_double))


class Point2D(ctypes.Structure):
    _fields_ = (("x", ctypes.c_double), ("y", ctypes.c_double))


class MultiPoints(ctypes.Structure):
    _fields_ = (("multi_data_int", ctypes.c_int32), ("multi_points", Point2D * 24))


class Demo(ctypes.Structure):
    _fields_ = (
        ("header", Header),
        ("data_int", ctypes.c_int32),
        ("data_string", ctypes.c_char * 256),
        ("data_xy", Point2D),
        ("multi_pts", MultiPoints),
    )


data_path = pathlib.Path(sys.argv[1]) / "DemoMmapStructure_.mmap"
lock = fasteners.InterProcessReaderWriterLock(str(pathlib.Path(sys.argv[2]) / "DemoMmapStructure_.lockfile"))


def under_lock(exclusive, work):
    acquire = lock.acquire_write_lock if exclusive else lock.acquire_read_lock
    acquire(blocking=True)
    try:
        with open(data_path, "r+b" if exclusive else "rb") as file:
            with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_DEFAULT if exclusive else mmap.ACCESS_READ) as memory:
                return on_struct(memory, exclusive, work)
    finally:
        (lock.release_write_lock if exclusive else lock.release_read_lock)()


def on_struct(memory, exclusive, work):
    # Only a struct that is gone lets the mapping be closed.
    demo = Demo.from_buffer(memory) if exclusive else Demo.from_buffer_copy(memory)
    return work(demo)


def is_torn(demo):
    count = demo.data_int
    return not (demo.data_xy.x == demo.data_xy.y == demo.multi_pts.multi_points[23].y == count
                and demo.data_string == (b"" if count == 0 else str(count).encode()))


def count_up(demo):
    torn = is_torn(demo)
    count = demo.data_int + 1
    demo.data_int = count
    demo.data_xy.x = count
    demo.data_string = str(count).encode()
    demo.multi_pts.multi_points[23].y = count
    demo.data_xy.y = count
    demo.header.time_stamp = time.time()
    return torn


def repeat(rounds, pause, exclusive, work):
    torn = 0
    for _ in range(rounds):
        torn += under_lock(exclusive, work)
        if pause:
            time.sleep(pause)
    return torn


def create():
    with open(data_path, "wb") as file:
        file.write(Demo(Header(0x1128, time.time())))


def fields(demo):
    return {"header_code": demo.header.header_code, "time_stamp": demo.header.time_stamp, "data_int": demo.data_int,
            "data_string": demo.data_string.decode(), "x": demo.data_xy.x, "y": demo.data_xy.y,
            "last": demo.multi_pts.multi_points[23].y}


def set_fields(demo, values):
    for name, value in values.items():
        setattr(demo, name, value.encode() if isinstance(value, str) else value)


def attempt(mode):
    acquire = lock.acquire_write_lock if mode == "write" else lock.acquire_read_lock
    if not acquire(blocking=False):
        lock._do_close()
        return False
    (lock.release_write_lock if mode == "write" else lock.release_read_lock)()
    return True


def clear(demo):
    ctypes.memset(ctypes.byref(demo), 0, ctypes.sizeof(demo))


jobs = {
    "create": create,
    "edit": lambda rounds, pause: repeat(rounds, pause, True, count_up),
    "watch": lambda rounds, pause: repeat(rounds, pause, False, is_torn),
    "get": lambda: under_lock(False, fields),
    "set": lambda values: under_lock(True, lambda demo: set_fields(demo, values)),
    "clear": lambda: under_lock(True, clear),
    "try": attempt,
    "hold": lambda mode: (lock.acquire_write_lock if mode == "write" else lock.acquire_read_lock)(),
    "release": lambda: lock.release_write_lock(),
}
print(json.dumps("ready"), flush=True)
for line in sys.stdin:
    name, *arguments = json.loads(line)
    print(json.dumps(jobs[name](*arguments)), flush=True)
