"""python3 mmap-echo.py <path>: at each line on stdin, replaces the line in the mapped file by its bytes backwards."""
import mmap
import sys

with open(sys.argv[1], "r+b") as file, mmap.mmap(file.fileno(), 1024) as m:
    print("mapped", flush=True)
    for _ in sys.stdin:
        m.seek(0)
        line = m.readline().rstrip(b"\n")
        m.write(" ".join(str(byte) for byte in reversed(line)).encode() + b"\n")
        print("turned", flush=True)
