#!/usr/bin/env python3
"""Creates a topic and writes records of the workload with kafka-python, record i into partition i modulo their number.

Prints `acked N` when every record was acknowledged at the offset it must have; else says what was wrong and exits 1.
"""

import argparse
import sys

from kafka import KafkaAdminClient, KafkaProducer

import workload


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--bootstrap", required=True)
    parser.add_argument("--topic", required=True)
    parser.add_argument("--partitions", type=int, default=3)
    parser.add_argument("--records", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--compression", choices=["none", "gzip", "snappy", "lz4", "zstd"], default="none")
    parser.add_argument("--plain", action="store_true", help="without idempotence")
    parser.add_argument("--deadline-s", type=float, default=60)
    asked = parser.parse_args()

    timeout_ms = int(asked.deadline_s * 1000)
    admin = KafkaAdminClient(bootstrap_servers=asked.bootstrap, bootstrap_timeout_ms=timeout_ms)
    admin.create_topics({asked.topic: {"num_partitions": asked.partitions, "replication_factor": 1}}, timeout_ms=timeout_ms)
    admin.close()

    producer = KafkaProducer(
        bootstrap_servers=asked.bootstrap,
        bootstrap_timeout_ms=timeout_ms,
        compression_type=None if asked.compression == "none" else asked.compression,
        enable_idempotence=not asked.plain,
        # Without idempotence a retry may pass its successor, and the offsets below would not be known beforehand.
        max_in_flight_requests_per_connection=1 if asked.plain else 5,
        linger_ms=20,
        batch_size=64 * 1024,
        delivery_timeout_ms=timeout_ms,
        request_timeout_ms=min(30_000, timeout_ms - 1000),
    )
    pending = []
    for index in range(asked.records):
        key, value, headers, timestamp = workload.record(asked.seed, index)
        pending.append(
            producer.send(
                asked.topic, value=value, key=key, headers=headers, partition=index % asked.partitions, timestamp_ms=timestamp
            )
        )
    producer.flush(timeout=asked.deadline_s)
    wrong = 0
    for index, future in enumerate(pending):
        offset = future.get(timeout=asked.deadline_s).offset
        if offset != index // asked.partitions:
            wrong += 1
            print(f"record {index} was acknowledged at offset {offset}", file=sys.stderr)
    producer.close()
    if wrong:
        return 1
    print(f"acked {len(pending)}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
