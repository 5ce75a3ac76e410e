#!/usr/bin/env python3
"""A program of the client matrix for one Python client (or kcat): ../README.md says what it promises.

    program.py kafka-python | aiokafka | confluent-kafka | kcat
"""

import hashlib
import importlib
import pathlib
import struct
import sys
import time
import traceback

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent.parent))

import workload  # noqa: E402

MODULES = {
    "kafka-python": "with_kafka_python",
    "aiokafka": "with_aiokafka",
    "confluent-kafka": "with_confluent_kafka",
    "kcat": "with_kcat",
}

# Longest that a client may take for a job.
PATIENCE_S = 30

# What admin jobs set, and look at.
CREATED_WITH = [("retention.ms", "-1")]
ALTERED_TO = [("retention.ms", "-1"), ("max.message.bytes", "2000000")]
CONFIGS = ["cleanup.policy", "max.message.bytes", "retention.ms"]
# Where a config comes from, by its number on the wire; under it, whatever a client calls it.
SOURCES = {1: "topic", "DYNAMIC_TOPIC_CONFIG": "topic", 5: "default", "DEFAULT_CONFIG": "default"}


def record(seed, index):
    """What a client that can set everything writes: (key, value, headers, timestamp)."""
    return workload.record(seed, index)


def text_record(seed, index):
    """What a client that types text writes: (key, value). As in `tests/support/matrix_records.rs`."""
    digest = hashlib.sha256(b"%d/%d" % (seed, index)).hexdigest().encode()
    return b"key-%d" % (index % 50), digest * (1 + index % 7)


KINDS = "kevwht"


class Fields:
    """The digests of a topic, field by field."""

    def __init__(self):
        self.count = 0
        self.shown = KINDS
        self._digests = {}

    def add(self, partition, offset, key, value, headers, timestamp):
        self.count += 1
        into = self._digests.setdefault(partition, {kind: hashlib.sha256() for kind in KINDS})
        place = struct.pack(">iq", partition, offset)
        for digest in into.values():
            digest.update(place)
        into["k"].update(_bytes(key))
        into["e"].update(_bytes(key or None))
        into["v"].update(_bytes(value))
        into["w"].update(_bytes(value or None))
        into["h"].update(struct.pack(">i", len(headers)))
        for name, content in headers:
            into["h"].update(_bytes(name.encode() if isinstance(name, str) else name))
            into["h"].update(_bytes(content))
        into["t"].update(struct.pack(">q", timestamp))

    def words(self):
        return ["%s=%s" % (kind, self._hex(kind) if kind in self.shown else "-") for kind in KINDS]

    def _hex(self, kind):
        whole = hashlib.sha256()
        for partition in sorted(self._digests):
            whole.update(self._digests[partition][kind].digest())
        return whole.hexdigest()[:16]


def _bytes(content):
    return struct.pack(">i", -1) if content is None else struct.pack(">i", len(content)) + content


class Wanted:
    """What a read job asks for, and how much of it is there."""

    def __init__(self, patience_s, text):
        self._patience_s = patience_s
        self.topics = {}
        self.fields = {}
        for each in text.split(","):
            topic, partitions, records = each.rsplit(":", 2)
            self.topics[topic] = (int(partitions), int(records))
            self.fields[topic] = Fields()
        self._until = time.monotonic() + patience_s

    def partitions(self):
        return [(topic, partition) for topic, (count, _) in self.topics.items() for partition in range(count)]

    def is_missing(self):
        """Whether to go on; raises when it takes too long."""
        missing = {t: "%d of %d" % (self.fields[t].count, n) for t, (_, n) in self.topics.items() if self.fields[t].count < n}
        if missing and time.monotonic() > self._until:
            raise TimeoutError("after %d s: %s" % (self._patience_s, missing))
        return bool(missing)

    def tell(self):
        for topic, fields in self.fields.items():
            if fields.count >= self.topics[topic][1]:
                tell("read", topic, fields.count, *fields.words())


def tell(*words):
    print("\t".join(str(word).replace("\t", " ").replace("\n", " | ") for word in words), flush=True)


def do(client, words):
    verb, _, bootstrap, *rest = words
    if verb == "write":
        topic, seed, records, partitions, codec = rest
        tell("wrote", client.write(bootstrap, topic, int(seed), int(records), int(partitions), codec))
    elif verb == "read":
        wanted = Wanted(int(rest[0]) / 1000, rest[1])
        try:
            client.read(bootstrap, wanted)
        finally:
            wanted.tell()
    elif verb == "admin":
        admin = importlib.import_module(client.__name__.replace("with_", "admin_"))
        for line in admin.admin(bootstrap, *rest):
            tell("saw", line)
    else:
        raise ValueError("unknown job: %s" % verb)


def main():
    client = importlib.import_module(MODULES[sys.argv[1]])
    tell("client", sys.argv[1], client.version())
    tell("ready")
    for line in sys.stdin:
        try:
            do(client, line.rstrip("\n").split("\t"))
        except Exception as failed:
            traceback.print_exc()
            tell("error", "%s: %s" % (type(failed).__name__, failed))
        tell("done")


if __name__ == "__main__":
    main()
