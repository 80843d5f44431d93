"""Imports, opens an existing file and reads a field. open.py <file>"""
import time

start = time.perf_counter_ns()
import sys

from demo import in_dir

imported = time.perf_counter_ns()
session = in_dir("", sys.argv[1])
data = session.begin()
value = data.multi.points[3].x
del data
session.end()
opened = time.perf_counter_ns()
assert value == 3.5
session.begin()
session.end()
again = time.perf_counter_ns()
print(
    '{"import": %d, "first": %d, "again": %d}'
    % (imported - start, opened - imported, again - opened)
)
