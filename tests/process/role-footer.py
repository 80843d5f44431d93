"""Reads a data file of shmstruct by the description in docs/internals/file-format.md, with nothing but Python's library."""
import json
import struct
import sys
import time
import zlib

data = open(sys.argv[1], "rb").read()
footer = data[-128:]
magic, form, crc, content, lock, flags, abi, struct_bytes, pre_image_offset, marks_offset, block_bytes, schema_bytes, \
    schema_offset, fingerprint, created_at, commits, generation, before, sequence, superseded = \
    struct.unpack("<8sIIBBHIQQQIIQQQ16xIIQII8x", footer)
schema = data[schema_offset:schema_offset + schema_bytes]
print(json.dumps({
    "magic": magic.decode(), "format": form, "content": content, "lock": lock, "flags": flags, "abi": abi,
    "blockBytes": block_bytes, "crcHolds": crc == zlib.crc32(schema, zlib.crc32(footer[16:96])),
    "createdNow": abs(created_at / 1e9 - time.time()) < 60,
    "structBytes": struct_bytes, "schemaOffset": schema_offset, "fingerprint": f"{fingerprint:016x}",
    "before": before, "commits": commits, "generation": generation, "sequence": sequence, "superseded": superseded,
    "schema": json.loads(schema), "size": len(data),
    "live": data[:struct_bytes].hex(), "preImage": data[pre_image_offset:][:struct_bytes].hex() if flags & 1 else None,
}))
