"""Five stores in a session of ctypes, mmap and fasteners. edit.py <dir>"""
import sys
import time

from demo import Session

NAME = "edit-py"
kept = Session(sys.argv[1], NAME)
kept.create()
count = 0


def edit(session: Session) -> None:
    global count
    with session as data:
        data.write("data_int", count)
        data.write("data_xy.x", count)
        data.write("data_xy.y", -count)
        data.write("multi.data_int", count)
        data.write("multi.points.3.x", count)
        data.write("header.time_stamp", time.time())
    count += 1


def window(make_session, seconds: float) -> float:
    start, first = time.thread_time(), count
    while time.thread_time() - start < seconds:
        edit(make_session())
    return (time.thread_time() - start) / (count - first) * 1e9


def fastest(make_session) -> float:
    window(make_session, 0.1)
    return min(window(make_session, 0.02) for _ in range(9))


# As IPMMAP's demo has it, an editor for each block; and the same editor for all of them.
each = fastest(lambda: Session(sys.argv[1], NAME))
same = fastest(lambda: kept)
with kept as data:
    assert data.read("data_int") == count - 1 and data.read("multi.points.3.x") == count - 1
print('{"ns": %f, "same": %f}' % (each, same))
