#!/usr/bin/env python3
"""One consumer of a group with kafka-python, in a process of its own: a member program of the group suites.

java/Member.java and go/main.go do the same with the same options, events and commands. It subscribes to one topic,
commits what it has processed about every --commit-ms, on every revocation and at the end, and prints one JSON object per
line, with the microsecond in which it happened, which alone orders the lines of several members: assigned, revoked
(after committing), lost, records, committed, error, closed. Commands come on standard input:
`stop` or its end leave cleanly, `pause MS` stops polling for so long. Exits 0 after a clean leave, 1 after a fatal error.
"""

import argparse
import json
import logging
import queue
import sys
import threading
import time

from kafka import KafkaConsumer, OffsetAndMetadata, TopicPartition
from kafka.consumer.subscription_state import AsyncConsumerRebalanceListener
from kafka.coordinator.assignors.cooperative_sticky import CooperativeStickyAssignor
from kafka.coordinator.assignors.range import RangePartitionAssignor
from kafka.coordinator.assignors.roundrobin import RoundRobinPartitionAssignor
from kafka.coordinator.assignors.sticky.sticky_assignor import StickyPartitionAssignor
from kafka.errors import FencedInstanceIdError, KafkaError, RebalanceInProgressError, RetriableError

ASSIGNORS = {
    "range": RangePartitionAssignor,
    "roundrobin": RoundRobinPartitionAssignor,
    "sticky": StickyPartitionAssignor,
    "cooperative-sticky": CooperativeStickyAssignor,
}
# What commits and close may take before they are given up.
PATIENCE_MS = 30_000

printing = threading.Lock()


def tell(event, **fields):
    with printing:
        line = json.dumps({"event": event, "at_us": time.time_ns() // 1000, **fields}, separators=(",", ":"))
        sys.stdout.write(line + "\n")
        sys.stdout.flush()


def tell_error(error, fatal=False):
    tell("error", message=f"{type(error).__name__}: {error}", fatal=fatal)


def numbers(partitions):
    return sorted(p.partition for p in partitions)


class Progress:
    """The next offset of every partition that this member owns, and what of it is committed.

    Not shared: the listener runs on the client's IO thread only while the main thread waits in poll or close.
    """

    def __init__(self):
        self._next = {}
        self._committed = {}

    def advance(self, partition, offset):
        self._next[partition] = offset

    def uncommitted(self, partitions=None):
        return {
            p: OffsetAndMetadata(offset, "", -1)
            for p, offset in self._next.items()
            if self._committed.get(p) != offset and (partitions is None or p in partitions)
        }

    def commit_succeeded(self, offsets):
        self._committed.update({p: at.offset for p, at in offsets.items()})
        tell("committed", offsets={str(p.partition): at.offset for p, at in sorted(offsets.items())})

    def forget(self, partitions):
        for partition in partitions:
            self._next.pop(partition, None)
            self._committed.pop(partition, None)


class Listener(AsyncConsumerRebalanceListener):
    def __init__(self, progress):
        self._progress = progress
        self.consumer = None

    async def on_partitions_assigned(self, assigned):
        tell("assigned", partitions=numbers(assigned))

    async def on_partitions_revoked(self, revoked):
        offsets = self._progress.uncommitted(revoked)
        if offsets:
            try:
                # KafkaConsumer.commit would block the loop that this runs on; this is the same with its retries.
                await self.consumer._coordinator._commit_offsets_sync_async(offsets, PATIENCE_MS)
                self._progress.commit_succeeded(offsets)
            except KafkaError as error:
                tell_error(error)
        self._give_up("revoked", revoked)

    async def on_partitions_lost(self, lost):
        self._give_up("lost", lost)

    def _give_up(self, event, partitions):
        self._progress.forget(partitions)
        if partitions:
            tell(event, partitions=numbers(partitions))


class Commands:
    """Reads standard input on a thread of its own."""

    def __init__(self):
        self._lines = queue.Queue(maxsize=16)
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self):
        for line in sys.stdin:
            self._lines.put(line.split())
        self._lines.put(["stop"])

    def stop_asked(self):
        """Carries out what came; returns whether the member shall leave. A pause ends early when it shall."""
        wait_until = 0.0
        while True:
            try:
                command = self._lines.get(timeout=max(0.0, wait_until - time.monotonic()) or None, block=wait_until > 0)
            except queue.Empty:
                return False
            if command[:1] == ["stop"]:
                return True
            if command[:1] == ["pause"] and len(command) == 2:
                wait_until = time.monotonic() + int(command[1]) / 1000
            elif command:
                tell("error", message=f"unknown command: {' '.join(command)}", fatal=False)
            if wait_until and wait_until <= time.monotonic():
                return False


def arguments():
    parser = argparse.ArgumentParser()
    parser.add_argument("--bootstrap", required=True)
    parser.add_argument("--group", required=True)
    parser.add_argument("--topic", required=True)
    parser.add_argument("--assignor", choices=sorted(ASSIGNORS), default="range")
    parser.add_argument("--client-id", default="member-python")
    parser.add_argument("--instance-id")
    parser.add_argument("--session-ms", type=int, default=10_000)
    parser.add_argument("--max-poll-ms", type=int, help="default: as --session-ms")
    parser.add_argument("--heartbeat-ms", type=int, help="default: a third of --session-ms, at most 1000")
    parser.add_argument("--commit-ms", type=int, default=200)
    parser.add_argument("--auto-offset-reset", choices=["earliest", "latest"], default="earliest")
    parser.add_argument("--verbose", action="store_true", help="the client's own log on standard error")
    return parser.parse_args()


def connect(asked):
    return KafkaConsumer(
        bootstrap_servers=asked.bootstrap.split(","),
        bootstrap_timeout_ms=60_000,
        group_id=asked.group,
        client_id=asked.client_id,
        group_instance_id=asked.instance_id,
        partition_assignment_strategy=[ASSIGNORS[asked.assignor]],
        session_timeout_ms=asked.session_ms,
        max_poll_interval_ms=asked.max_poll_ms or asked.session_ms,
        heartbeat_interval_ms=asked.heartbeat_ms or max(1, min(1000, asked.session_ms // 3)),
        auto_offset_reset=asked.auto_offset_reset,
        enable_auto_commit=False,
        # Like the other clients' default; 30 s would outlast most scenes.
        reconnect_backoff_max_ms=1000,
    )


def consume(consumer, progress, commands, commit_ms):
    """Polls and commits until told to stop and all is committed. Errors that pass are told; others are raised."""
    commit_at = time.monotonic()
    while not commands.stop_asked():
        poll(consumer, progress)
        if time.monotonic() >= commit_at:
            commit(consumer, progress)
            commit_at = time.monotonic() + commit_ms / 1000
    give_up_at = time.monotonic() + PATIENCE_MS / 1000
    while not commit(consumer, progress) and time.monotonic() < give_up_at:
        poll(consumer, progress)


def poll(consumer, progress):
    try:
        for partition, records in consumer.poll(timeout_ms=100).items():
            first, last = records[0].offset, records[-1].offset
            tell("records", partition=partition.partition, first=first, last=last, count=len(records))
            progress.advance(partition, last + 1)
    except RetriableError as error:
        tell_error(error)


def commit(consumer, progress):
    """Returns False when it must be tried again after a poll: a cooperative member keeps its partitions while it rejoins."""
    offsets = progress.uncommitted()
    if not offsets:
        return True
    try:
        consumer.commit(offsets, timeout_ms=PATIENCE_MS)
        progress.commit_succeeded(offsets)
    except RebalanceInProgressError:
        return False
    except FencedInstanceIdError:
        raise
    except KafkaError as error:
        tell_error(error)
    return True


def main():
    asked = arguments()
    logging.basicConfig(level=logging.INFO if asked.verbose else logging.ERROR, format="%(asctime)s %(name)s %(message)s")
    commands = Commands()
    progress = Progress()
    listener = Listener(progress)
    consumer = None
    outcome = 0
    try:
        consumer = listener.consumer = connect(asked)
        consumer.subscribe([asked.topic], listener=listener)
        consume(consumer, progress, commands, asked.commit_ms)
    except Exception as error:
        tell_error(error, fatal=True)
        outcome = 1
    if consumer is not None:
        try:
            consumer.close(timeout_ms=PATIENCE_MS)
        except Exception as error:
            tell_error(error)
    tell("closed")
    return outcome


if __name__ == "__main__":
    sys.exit(main())
