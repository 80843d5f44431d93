"""Reads a data file of shmstruct by the description in docs/file-format.md, with nothing but Python's library."""
import json
import struct
import sys
import zlib

data = open(sys.argv[1], "rb").read()
footer = data[-64:]
magic, form, crc, kind, transactional, zero, schema_bytes, struct_bytes, schema_offset, fingerprint, before, commits, sequence, retired = \
    struct.unpack("<8sIIBBHIQQQIIII", footer)
schema = data[schema_offset:schema_offset + schema_bytes]
print(json.dumps({
    "magic": magic.decode(), "format": form, "kind": kind, "transactional": transactional, "zero": zero,
    "crcHolds": crc == zlib.crc32(schema, zlib.crc32(footer[16:48])),
    "structBytes": struct_bytes, "schemaOffset": schema_offset, "fingerprint": f"{fingerprint:016x}",
    "before": before, "commits": commits, "sequence": sequence, "retired": retired,
    "schema": json.loads(schema), "size": len(data),
    "live": data[:struct_bytes].hex(), "preImage": data[(struct_bytes + 7) // 8 * 8:][:struct_bytes].hex() if transactional else None,
}))
