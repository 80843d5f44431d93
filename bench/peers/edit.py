"""Five stores in a session of ctypes, mmap and fasteners. edit.py <dir>"""
import sys
import time

from demo import in_dir

session = in_dir(sys.argv[1], "edit-py.mmap")
session.create()
count = 0


def edit(turns: int) -> None:
    global count
    for _ in range(turns):
        with session as data:
            data.write("data_int", count)
            data.write("data_xy.x", count)
            data.write("data_xy.y", -count)
            data.write("multi.data_int", count)
            data.write("multi.points.3.x", count)
            data.write("header.time_stamp", time.time())
        count += 1


def window(seconds: float) -> float:
    start, first = time.thread_time(), count
    while time.thread_time() - start < seconds:
        edit(20)
    return (time.thread_time() - start) / (count - first) * 1e9


window(0.1)
ns = min(window(0.02) for _ in range(9))
with session as data:
    assert data.read("data_int") == count - 1 and data.read("multi.points.3.x") == count - 1
print('{"ns": %f}' % ns)
