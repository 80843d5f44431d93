"""A program with interop/python/shmstruct.py. participant.py <dir> edit | snapshot"""
import os
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "interop", "python"))
from shmstruct import Editor, Reader

directory, what = sys.argv[1:3]
count = 0
role = (Editor if what == "edit" else Reader)("DemoMmapStructure", dir=directory)


def edit() -> None:
    global count
    with role.edit() as data:
        data.data_int = count
        data.data_xy.x = count
        data.data_xy.y = -count
        data.multi_pts.multi_data_int = count
        data.multi_pts.multi_points[3].x = count
    count += 1


def snapshot() -> None:
    data = role.snapshot()
    assert data.data_int == data.data_xy.x


def window(seconds: float) -> float:
    run = edit if what == "edit" else snapshot
    start, turns = time.thread_time(), 0
    while time.thread_time() - start < seconds:
        run()
        turns += 1
    return (time.thread_time() - start) / turns * 1e9


window(0.1)
print('{"ns": %f}' % min(window(0.02) for _ in range(9)))
