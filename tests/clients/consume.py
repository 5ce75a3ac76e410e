#!/usr/bin/env python3
"""Reads a topic from its beginning with kafka-python, assigned (no group), and prints `read N DIGEST`.

The digest covers partition, offset, timestamp, key, value and headers of every record, partition by partition. Exits 1
when the expected number is not there before the deadline, when more is there, or when an offset is missing.
"""

import argparse
import sys
import time

from kafka import KafkaConsumer, TopicPartition

import workload


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--bootstrap", required=True)
    parser.add_argument("--topic", required=True)
    parser.add_argument("--partitions", type=int, default=3)
    parser.add_argument("--records", type=int, default=1000)
    parser.add_argument("--isolation", choices=["read_uncommitted", "read_committed"], default="read_uncommitted")
    parser.add_argument("--deadline-s", type=float, default=60)
    asked = parser.parse_args()

    consumer = KafkaConsumer(
        bootstrap_servers=asked.bootstrap,
        bootstrap_timeout_ms=int(asked.deadline_s * 1000),
        group_id=None,
        enable_auto_commit=False,
        isolation_level=asked.isolation,
        # Small on purpose: a read takes several fetches, and larger records come as the one batch that is sent whole.
        max_partition_fetch_bytes=64 * 1024,
        max_poll_records=2000,
    )
    partitions = [TopicPartition(asked.topic, p) for p in range(asked.partitions)]
    consumer.assign(partitions)
    consumer.seek_to_beginning(*partitions)
    deadline = time.monotonic() + asked.deadline_s
    found = {p: [] for p in range(asked.partitions)}
    count = 0
    while count < asked.records and time.monotonic() < deadline:
        for partition, records in consumer.poll(timeout_ms=200).items():
            found[partition.partition].extend(records)
            count += len(records)
    ends = consumer.end_offsets(partitions)
    consumer.close()

    digest = workload.Digest()
    for partition in sorted(found):
        for place, record in enumerate(found[partition]):
            if record.offset != place:
                print(f"partition {partition}: offset {record.offset} where {place} belongs", file=sys.stderr)
                return 1
            digest.add(partition, record.offset, record.key, record.value, record.headers or [], record.timestamp)
        end = ends[TopicPartition(asked.topic, partition)]
        if end != len(found[partition]):
            print(f"partition {partition}: {len(found[partition])} records, but its end is {end}", file=sys.stderr)
            return 1
    if count != asked.records:
        print(f"read {count} records where {asked.records} were expected", file=sys.stderr)
        return 1
    print(f"read {count} {digest.hex()}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
