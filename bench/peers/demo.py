"""The struct of demo/demo-struct.ts in ctypes, and a session the way IPMMAP has one."""
import ctypes
import mmap
import pathlib

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
    """What IPMMAP's processes do: lock, open and map at the beginning of a `with` block, undo it all at its end."""

    def __init__(self, directory: str, name: str) -> None:
        """IPMMAP makes sure of its two directories and resolves its two paths each time."""
        base = pathlib.Path(directory)
        for folder in (base, base):
            folder.mkdir(exist_ok=True)
        self.path = str((base / name).with_suffix(".mmap").resolve())
        self.lock_path = str((base / name).with_suffix(".lockfile").resolve())

    def create(self) -> None:
        with open(self.path, "wb") as file:
            file.write(bytes(ctypes.sizeof(Demo)))

    def __enter__(self) -> "Session":
        self.lock = fasteners.InterProcessReaderWriterLock(self.lock_path)
        self.lock.acquire_write_lock()
        self.file = open(self.path, "r+b")
        self.map = mmap.mmap(self.file.fileno(), 0)
        return self

    def __exit__(self, *_) -> None:
        self.map.close()
        self.file.close()
        self.lock.release_write_lock()

    def read(self, path: str):
        """A field of a copy, by its dotted path."""
        value = Demo.from_buffer_copy(self.map)
        for name in path.split("."):
            value = value[int(name)] if name.isdigit() else getattr(value, name)
        return value

    def write(self, path: str, value) -> None:
        """Each write finds its field by its dotted path."""
        target = Demo.from_buffer(self.map)
        *owners, last = path.split(".")
        for name in owners:
            target = target[int(name)] if name.isdigit() else getattr(target, name)
        setattr(target, last, value)
