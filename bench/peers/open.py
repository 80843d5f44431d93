"""Imports, opens an existing file and reads a field. open.py <dir>"""
import time

start = time.perf_counter_ns()
import sys

from demo import Session

imported = time.perf_counter_ns()


def read() -> float:
    with Session(sys.argv[1], "py") as data:
        return data.read("multi.points.3.x")


value = read()
opened = time.perf_counter_ns()
assert value == 3.5
read()
again = time.perf_counter_ns()
print(
    '{"import": %d, "first": %d, "again": %d}'
    % (imported - start, opened - imported, again - opened)
)
