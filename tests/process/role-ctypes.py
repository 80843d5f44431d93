"""Maps a Robot file with nothing but mmap and ctypes, and reads and writes its fields as told on standard input."""
import ctypes
import json
import mmap
import sys
import time


class Header(ctypes.Structure):
    _fields_ = [("header_code", ctypes.c_short), ("time_stamp", ctypes.c_double)]


class Point(ctypes.Structure):
    _fields_ = [("x", ctypes.c_double), ("y", ctypes.c_double)]


class Robot(ctypes.Structure):
    _fields_ = [
        ("header", Header), ("count", ctypes.c_int32), ("twin", ctypes.c_int32), ("serial", ctypes.c_int64),
        ("name", ctypes.c_char * 32), ("cells", ctypes.c_uint8 * 4), ("pose", Point), ("path", Point * 3),
        ("hits", ctypes.c_int32),
    ]


with open(sys.argv[1], "r+b") as file:
    memory = mmap.mmap(file.fileno(), 0)
robot = Robot.from_buffer(memory)
print(json.dumps({"size": ctypes.sizeof(Robot), "header": robot.header.header_code}))
for line in sys.stdin:
    if line.startswith("read"):
        print(json.dumps({
            "count": robot.count, "serial": str(robot.serial), "name": robot.name.decode(), "cells": list(robot.cells),
            "y": robot.path[2].y, "hits": robot.hits, "stamped": abs(time.time() - robot.header.time_stamp) < 60,
        }))
    else:
        values = json.loads(line.removeprefix("write "))
        robot.count, robot.twin, robot.pose.x = values["count"], values["twin"], values["x"]
        robot.name = values["name"].encode()
        print("written")
