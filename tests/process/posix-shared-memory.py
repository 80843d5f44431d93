"""The other language: Python's multiprocessing.shared_memory.

create NAME SIZE TEXT | read NAME LENGTH | write NAME OFFSET TEXT; NAME without a slash, as Python wants it.
Created memory stays: Python's resource tracker, which would unlink it at exit, is told to forget it.
"""
import sys
from multiprocessing import resource_tracker, shared_memory

command, name, *rest = sys.argv[1:]
if command == "create":
    memory = shared_memory.SharedMemory(name, create=True, size=int(rest[0]))
    text = rest[1].encode()
    memory.buf[: len(text)] = text
else:
    memory = shared_memory.SharedMemory(name)
    if command == "read":
        print(bytes(memory.buf[: int(rest[0])]).decode())
    else:
        text = rest[1].encode()
        offset = int(rest[0])
        memory.buf[offset : offset + len(text)] = text
resource_tracker.unregister(memory._name, "shared_memory")
print(memory.size)
memory.close()
