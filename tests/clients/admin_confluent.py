#!/usr/bin/env python3
"""Goes through confluent-kafka's admin calls for groups (librdkafka's), on a live group and on an empty one.

Like admin.py beside it: prints `ok N checks`, or a line for each answer that is not Apache Kafka's and exits 1.
"""

import argparse
import sys
import time

from confluent_kafka import (
    Consumer,
    ConsumerGroupState,
    ConsumerGroupTopicPartitions,
    ConsumerGroupType,
    IsolationLevel,
    KafkaError,
    KafkaException,
    Producer,
    TopicPartition,
)
from confluent_kafka.admin import AdminClient, NewTopic, OffsetSpec

from checks import Checks

RECORDS = 10
PATIENCE_S = 30


def fill(bootstrap, topic, admin):
    for created in admin.create_topics([NewTopic(topic, num_partitions=2, replication_factor=1)]).values():
        created.result(PATIENCE_S)
    producer = Producer({"bootstrap.servers": bootstrap})
    for partition in (0, 1):
        for index in range(RECORDS):
            producer.produce(topic, value=b"%d" % index, partition=partition)
    producer.flush(PATIENCE_S)


def read_all(bootstrap, group, topic):
    """A member that has read everything and committed; it stays in the group until it is closed."""
    consumer = Consumer(
        {
            "bootstrap.servers": bootstrap,
            "group.id": group,
            "client.id": "admin-member",
            "auto.offset.reset": "earliest",
            "enable.auto.commit": False,
            "partition.assignment.strategy": "range",
        }
    )
    consumer.subscribe([topic])
    count = 0
    until = time.monotonic() + PATIENCE_S
    while count < 2 * RECORDS and time.monotonic() < until:
        record = consumer.poll(0.2)
        if record is not None and record.error() is None:
            count += 1
    consumer.commit(asynchronous=False)
    return consumer


def listed(admin, **filters):
    return {each.group_id: each for each in admin.list_consumer_groups(**filters).result(PATIENCE_S).valid}


def described(admin, group):
    return admin.describe_consumer_groups([group])[group].result(PATIENCE_S)


def offsets_of(admin, group, partitions=None):
    asked = ConsumerGroupTopicPartitions(group, partitions)
    found = admin.list_consumer_group_offsets([asked])[group].result(PATIENCE_S)
    return {each.partition: each.offset for each in found.topic_partitions}


def outcome(call):
    """The code of Kafka's error, or None."""
    try:
        call().result(PATIENCE_S)
    except KafkaException as refused:
        return refused.args[0].code()
    return None


def alter(admin, group, topic, offset):
    asked = ConsumerGroupTopicPartitions(group, [TopicPartition(topic, 0, offset)])
    return admin.alter_consumer_group_offsets([asked])[group].result(PATIENCE_S).topic_partitions[0].error


def look_at_live_group(checks, admin, group, topic):
    found = listed(admin, states={ConsumerGroupState.STABLE})
    checks.equal("list: state", group in found and found[group].state, ConsumerGroupState.STABLE)
    checks.equal("list: type", group in found and found[group].type, ConsumerGroupType.CLASSIC)
    checks.equal("list: not among the empty ones", group in listed(admin, states={ConsumerGroupState.EMPTY}), False)

    about = described(admin, group)
    checks.equal("describe: state", about.state, ConsumerGroupState.STABLE)
    checks.equal("describe: assignor", about.partition_assignor, "range")
    checks.equal("describe: members", [member.client_id for member in about.members], ["admin-member"])
    owned = sorted(each.partition for member in about.members for each in member.assignment.topic_partitions)
    checks.equal("describe: assignment", owned, [0, 1])

    checks.equal("offsets", offsets_of(admin, group), {0: RECORDS, 1: RECORDS})
    deleted = outcome(lambda: admin.delete_consumer_groups([group])[group])
    checks.equal("delete a live group", deleted, KafkaError.NON_EMPTY_GROUP)
    refused = alter(admin, group, topic, 1)
    checks.equal("alter offsets of a live group", refused and refused.code(), KafkaError.UNKNOWN_MEMBER_ID)


def look_at_empty_group(checks, admin, group, topic):
    checks.becomes("state without members", ConsumerGroupState.EMPTY, lambda: described(admin, group).state)
    checks.equal("list: among the empty ones", group in listed(admin, states={ConsumerGroupState.EMPTY}), True)
    asked = TopicPartition(topic, 0)
    ends = admin.list_offsets({asked: OffsetSpec.latest()}, isolation_level=IsolationLevel.READ_UNCOMMITTED)
    checks.equal("end offset", ends[asked].result(PATIENCE_S).offset, RECORDS)

    checks.equal("alter offsets", alter(admin, group, topic, 3), None)
    checks.equal("altered offset", offsets_of(admin, group, [TopicPartition(topic, 0)]), {0: 3})
    checks.equal("all offsets", offsets_of(admin, group), {0: 3, 1: RECORDS})
    checks.equal("delete the group", outcome(lambda: admin.delete_consumer_groups([group])[group]), None)
    again = outcome(lambda: admin.delete_consumer_groups([group])[group])
    checks.equal("delete it again", again, KafkaError.GROUP_ID_NOT_FOUND)
    checks.equal("list: gone", group in listed(admin), False)
    checks.equal("offsets of nothing", offsets_of(admin, group), {})
    checks.equal("describe nothing", described(admin, group).state, ConsumerGroupState.DEAD)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--bootstrap", required=True)
    parser.add_argument("--through", help="where the admin calls go; default: --bootstrap")
    parser.add_argument("--group", required=True)
    parser.add_argument("--topic", required=True)
    asked = parser.parse_args()

    checks = Checks()
    admin = AdminClient({"bootstrap.servers": asked.through or asked.bootstrap})
    fill(asked.bootstrap, asked.topic, admin)
    consumer = read_all(asked.bootstrap, asked.group, asked.topic)
    look_at_live_group(checks, admin, asked.group, asked.topic)
    consumer.close()
    look_at_empty_group(checks, admin, asked.group, asked.topic)
    return checks.exit_code()


if __name__ == "__main__":
    sys.exit(main())
