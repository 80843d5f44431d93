"""Imports, opens an existing file and reads a field. open.py <file>"""
import time

start = time.perf_counter_ns()
import sys

from demo import in_dir

imported = time.perf_counter_ns()
session = in_dir("", sys.argv[1])


def read() -> float:
    with session as data:
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
