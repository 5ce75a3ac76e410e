"""The records that the client tests write: the same ones as `tests/support/workload.rs` makes, byte for byte.

Record i of a seed depends on nothing but the two, so that a reader in another language can say what it must find.
"""

import hashlib
import struct

FIRST_TIMESTAMP_MS = 1_700_000_000_000


def record(seed, index):
    """(key, value, headers, timestamp) of the record; key and value may be None."""
    digest = hashlib.sha256(b"%d/%d" % (seed, index)).digest()
    draw, kind = (digest[0] << 8) | digest[1], digest[2]
    if index % 1000 == 999:
        size = 0
    elif kind < 230:
        size = draw % 200
    elif kind < 254:
        size = draw % 4096
    else:
        size = draw
    if index % 5 == 4:
        key = None
    elif index % 211 == 7:
        key = b""
    else:
        key = b"key-%d" % (index % 1000)
    # Not every client sends a record that has neither.
    is_tombstone = index % 97 == 13 and key is not None
    value = None if is_tombstone else (digest * (size // 32 + 1))[:size]
    headers = [("h%d" % j, digest[j : j + 8]) for j in range(index % 3)]
    return key, value, headers, FIRST_TIMESTAMP_MS + index


class Digest:
    """SHA-256 over the records of each partition in order, then over the partitions: one line that two readers compare."""

    def __init__(self):
        self._partitions = {}

    def add(self, partition, offset, key, value, headers, timestamp):
        into = self._partitions.setdefault(partition, hashlib.sha256())
        into.update(struct.pack(">iqq", partition, offset, timestamp))
        for content in (key, value):
            self._add_bytes(into, content)
        into.update(struct.pack(">i", len(headers)))
        for name, content in headers:
            self._add_bytes(into, name.encode("utf-8"))
            self._add_bytes(into, content)

    @staticmethod
    def _add_bytes(into, content):
        if content is None:
            into.update(struct.pack(">i", -1))
        else:
            into.update(struct.pack(">i", len(content)))
            into.update(content)

    def hex(self):
        whole = hashlib.sha256()
        for partition in sorted(self._partitions):
            whole.update(self._partitions[partition].digest())
        return whole.hexdigest()
