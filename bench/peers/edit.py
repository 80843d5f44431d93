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
        data = session.begin()
        data.data_int = count
        data.data_xy.x = count
        data.data_xy.y = -count
        data.multi.data_int = count
        data.multi.points[3].x = count
        data.header.time_stamp = time.time()
        del data
        session.end()
        count += 1


def window(seconds: float) -> float:
    start, first = time.perf_counter(), count
    while time.perf_counter() - start < seconds:
        edit(20)
    return (time.perf_counter() - start) / (count - first) * 1e9


window(0.1)
ns = min(window(0.02) for _ in range(9))
data = session.begin()
assert data.data_int == count - 1 and data.multi.points[3].x == count - 1
print('{"ns": %f}' % ns)
