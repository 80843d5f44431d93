"""The struct of demo/demo-struct.ts in ctypes, and a session the way IPMMAP has one."""
import ctypes
import mmap
import os

import fasteners


class Header(ctypes.Structure):
    _fields_ = [("header_code", ctypes.c_int16), ("time_stamp", ctypes.c_double)]


class Point(ctypes.Structure):
    _fields_ = [("x", ctypes.c_double), ("y", ctypes.c_double)]


class Multi(ctypes.Structure):
    _fields_ = [("data_int", ctypes.c_int32), ("points", Point * 24)]


class Demo(ctypes.Structure):
    _fields_ = [
        ("header", Header),
        ("data_int", ctypes.c_int32),
        ("data_string", ctypes.c_char * 256),
        ("data_xy", Point),
        ("multi", Multi),
    ]


class Session:
    """Opens, locks, maps, and at the end unmaps and unlocks, as each `with` block of IPMMAP does."""

    def __init__(self, path: str) -> None:
        self.path = path
        self.lock = fasteners.InterProcessReaderWriterLock(path + ".lockfile")

    def create(self) -> None:
        with open(self.path, "wb") as file:
            file.write(bytes(ctypes.sizeof(Demo)))

    def begin(self) -> Demo:
        self.lock.acquire_write_lock()
        self.file = open(self.path, "r+b")
        self.map = mmap.mmap(self.file.fileno(), ctypes.sizeof(Demo))
        return Demo.from_buffer(self.map)

    def end(self) -> None:
        """By now the struct must be out of reach: Python does not unmap what is in use."""
        self.map.close()
        self.file.close()
        self.lock.release_write_lock()


def in_dir(directory: str, name: str) -> Session:
    return Session(os.path.join(directory, name))
