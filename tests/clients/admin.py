#!/usr/bin/env python3
"""Goes through kafka-python's admin calls for groups, once on a live group and once on an empty one.

Writes a small topic, reads it with one static and one dynamic member of a group, and looks at the group from outside:
list, describe, list, alter, reset and delete offsets, remove members, delete. Prints `ok N checks`, or a line for each
answer that is not Apache Kafka's and exits 1. --through sends the admin calls to another address than the consumers'.
"""

import argparse
import sys
import threading
import time

from kafka import KafkaAdminClient, KafkaConsumer, KafkaProducer, OffsetAndMetadata, TopicPartition
from kafka.admin import MemberToRemove, OffsetSpec
from kafka.coordinator.assignors.range import RangePartitionAssignor
from kafka.errors import (
    GroupIdNotFoundError,
    GroupSubscribedToTopicError,
    NoError,
    NonEmptyGroupError,
    UnknownMemberIdError,
)

from checks import Checks

RECORDS = 10


def fill(bootstrap, topic, admin):
    admin.create_topics({topic: {"num_partitions": 2, "replication_factor": 1}})
    producer = KafkaProducer(bootstrap_servers=bootstrap)
    for partition in (0, 1):
        for index in range(RECORDS):
            producer.send(topic, value=b"%d" % index, partition=partition)
    producer.flush(timeout=30)
    producer.close()


def join(bootstrap, group, topic, client_id, instance_id=None):
    consumer = KafkaConsumer(
        bootstrap_servers=bootstrap,
        group_id=group,
        client_id=client_id,
        group_instance_id=instance_id,
        auto_offset_reset="earliest",
        enable_auto_commit=False,
        partition_assignment_strategy=[RangePartitionAssignor],
        session_timeout_ms=30_000,
        heartbeat_interval_ms=500,
    )
    consumer.subscribe([topic])
    return consumer


def read_all(consumers, deadline_s=30):
    """Lets the members work side by side until each owns a partition and has read it to its end; then they commit.

    Each in a thread of its own: one that waits for the other to join again would wait for itself otherwise.
    """
    until = time.monotonic() + deadline_s
    finished = [threading.Event() for _ in consumers]

    def work(consumer, is_done):
        while time.monotonic() < until and not all(each.is_set() for each in finished):
            consumer.poll(timeout_ms=100)
            owned = consumer.assignment()
            if len(owned) == 1 and all(consumer.position(partition) == RECORDS for partition in owned):
                is_done.set()
        consumer.commit()

    threads = [threading.Thread(target=work, args=each) for each in zip(consumers, finished)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def look_at_live_group(checks, admin, group, topic):
    listed = {each["group_id"]: each for each in admin.list_groups(states_filter=["Stable"])}
    checks.equal("list: state", listed.get(group, {}).get("group_state"), "Stable")
    checks.equal("list: protocol type", listed.get(group, {}).get("protocol_type"), "consumer")
    checks.equal("list: type", listed.get(group, {}).get("group_type"), "classic")
    listed = [each["group_id"] for each in admin.list_groups(states_filter=["Empty"])]
    checks.equal("list: not among the empty ones", group in listed, False)

    described = admin.describe_groups([group])[group]
    checks.equal("describe: state", described["group_state"], "Stable")
    checks.equal("describe: protocol", described["protocol_data"], "range")
    members = {member["client_id"]: member for member in described["members"]}
    checks.equal("describe: members", sorted(members), ["admin-dynamic", "admin-static"])
    checks.equal("describe: instance", members["admin-static"]["group_instance_id"], "one")
    checks.equal("describe: no instance", members["admin-dynamic"]["group_instance_id"], None)
    owned = sorted(
        partition
        for member in members.values()
        for assigned in member["member_assignment"]["assigned_partitions"]
        for partition in assigned["partitions"]
    )
    checks.equal("describe: assignment", owned, [0, 1])

    checks.equal("delete a live group", outcome_of_delete(admin, group), NonEmptyGroupError.__name__)
    first = TopicPartition(topic, 0)
    deleted = admin.delete_group_offsets(group, [first])
    checks.equal("delete offsets of a live group", deleted, {first: GroupSubscribedToTopicError})
    altered = admin.alter_group_offsets(group, {first: OffsetAndMetadata(1, "", -1)})
    checks.equal("alter offsets of a live group", altered, {first: UnknownMemberIdError})
    checks.equal("offsets", offsets_of(admin, group), {0: RECORDS, 1: RECORDS})


def remove_members(checks, admin, group):
    removed = admin.remove_group_members(group, [MemberToRemove(group_instance_id="one")])
    checks.equal("remove a static member", list(removed.values()), [NoError])
    removed = admin.remove_group_members(group, [MemberToRemove(group_instance_id="one")])
    checks.equal("remove it again", list(removed.values()), [UnknownMemberIdError])
    checks.becomes("state without members", "Empty", lambda: admin.describe_groups([group])[group]["group_state"])


def look_at_empty_group(checks, admin, group, topic):
    first, second = TopicPartition(topic, 0), TopicPartition(topic, 1)
    listed = [each["group_id"] for each in admin.list_groups(states_filter=["Empty"], types_filter=["classic"])]
    checks.equal("list: among the empty ones", group in listed, True)

    altered = admin.alter_group_offsets(group, {first: OffsetAndMetadata(3, "by hand", -1)})
    checks.equal("alter offsets", altered, {first: NoError})
    found = admin.list_group_offsets({group: [first]})[group][first]
    checks.equal("altered offset", (found.offset, found.metadata), (3, "by hand"))
    reset = admin.reset_group_offsets(group, {first: OffsetSpec.EARLIEST, second: OffsetSpec.LATEST})
    checks.equal("reset", {p: each["offset"] for p, each in reset.items()}, {first: 0, second: RECORDS})
    checks.equal("offsets after the reset", offsets_of(admin, group), {0: 0, 1: RECORDS})

    checks.equal("delete one offset", admin.delete_group_offsets(group, [first]), {first: NoError})
    checks.equal("offsets after that", offsets_of(admin, group), {1: RECORDS})
    checks.equal("delete the group", outcome_of_delete(admin, group), "OK")
    checks.equal("delete it again", outcome_of_delete(admin, group), GroupIdNotFoundError.__name__)
    checks.equal("list: gone", group in [each["group_id"] for each in admin.list_groups()], False)
    checks.equal("offsets of nothing", offsets_of(admin, group), {})
    checks.equal("describe nothing", admin.describe_groups([group])[group]["group_state"], "Dead")
    checks.refused("delete its offsets", GroupIdNotFoundError, lambda: admin.delete_group_offsets(group, [first]))


def offsets_of(admin, group):
    return {partition.partition: at.offset for partition, at in admin.list_group_offsets({group: None})[group].items()}


def outcome_of_delete(admin, group):
    """Either OK or the name of the error."""
    return admin.delete_groups([group])[group]


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--bootstrap", required=True)
    parser.add_argument("--through", help="where the admin calls go; default: --bootstrap")
    parser.add_argument("--group", required=True)
    parser.add_argument("--topic", required=True)
    asked = parser.parse_args()

    checks = Checks()
    bootstrap = asked.bootstrap.split(",")
    admin = KafkaAdminClient(bootstrap_servers=(asked.through or asked.bootstrap).split(","))
    fill(bootstrap, asked.topic, admin)
    members = [
        join(bootstrap, asked.group, asked.topic, "admin-static", instance_id="one"),
        join(bootstrap, asked.group, asked.topic, "admin-dynamic"),
    ]
    read_all(members)
    look_at_live_group(checks, admin, asked.group, asked.topic)
    for member in members:
        member.close()  # the static one does not leave
    remove_members(checks, admin, asked.group)
    look_at_empty_group(checks, admin, asked.group, asked.topic)
    admin.close()
    return checks.exit_code()


if __name__ == "__main__":
    sys.exit(main())
