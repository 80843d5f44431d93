"""A follower as jsonmmap has them: maps the file, finds the colon, reads as many bytes as the number before it says.

python3 json-follower.py FILE: prints what it reads for every line of its input, or the name of the error."""
import json
import mmap
import sys

with open(sys.argv[1], "rb") as file:
    memory = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)

for _ in sys.stdin:
    try:
        colon = memory.find(b":", 0)
        memory.seek(colon + 1)
        print(json.dumps(json.loads(memory.read(int(memory[:colon])))), flush=True)
    except ValueError as error:
        print(type(error).__name__, flush=True)
