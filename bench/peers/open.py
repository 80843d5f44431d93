"""Imports, opens an existing file and reads a field; with `often` many times. open.py <dir> [often]"""
import time

start = time.perf_counter_ns()
import sys

from demo import Session

imported = time.perf_counter_ns()


def read() -> float:
    with Session(sys.argv[1], "py") as data:
        return data.read("multi.points.3.x")


def often() -> int:
    """Nanoseconds of one of 500, after 2,000 others."""
    for _ in range(2000):
        read()
    practised = time.perf_counter_ns()
    for _ in range(500):
        read()
    return (time.perf_counter_ns() - practised) // 500


value = read()
opened = time.perf_counter_ns()
assert value == 3.5
read()
again = time.perf_counter_ns()
if sys.argv[2:] == ["often"]:
    print('{"often": %d}' % often())
else:
    print(
        '{"import": %d, "first": %d, "again": %d}'
        % (imported - start, opened - imported, again - opened)
    )
