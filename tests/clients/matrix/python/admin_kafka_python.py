"""The admin client of kafka-python in the client matrix."""

from kafka import KafkaAdminClient, TopicPartition
from kafka.admin import ConfigResource, ConfigResourceType, OffsetSpec
from kafka.errors import KafkaError, for_code

import program

_admins = {}


def admin(bootstrap, step, topic, *rest):
    if bootstrap not in _admins:
        _admins[bootstrap] = KafkaAdminClient(bootstrap_servers=bootstrap)
    try:
        return STEPS[step](_admins[bootstrap], topic, *rest)
    except KafkaError as error:
        return ["error %d" % error.errno]


def _create(client, topic):
    configs = dict(program.CREATED_WITH)
    client.create_topics({topic: {"num_partitions": 2, "replication_factor": 1, "configs": configs}})
    return ["done"]


def _describe(client, topic):
    found = client.describe_topics([topic])[0]
    if found["error_code"] != 0:
        raise for_code(found["error_code"])()
    partitions = sorted(found["partitions"], key=lambda each: each["partition_index"])
    return ["%d leader %d replicas %d" % (p["partition_index"], p["leader_id"], len(p["replica_nodes"])) for p in partitions]


def _list(client, topic):
    return ["listed" if topic in client.list_topics() else "not listed"]


def _configs(client, topic):
    resource = ConfigResource(ConfigResourceType.TOPIC, topic)
    found = client.describe_configs([resource], config_filter="all")
    entries = next(iter(found.values()))[topic]
    return [_line(name, entries[name]) for name in program.CONFIGS]


def _line(name, entry):
    source = entry["config_source"]
    return "%s=%s %s" % (name, entry["value"], program.SOURCES.get(source, source))


def _alter(client, topic):
    client.alter_configs([ConfigResource(ConfigResourceType.TOPIC, topic, configs=dict(program.ALTERED_TO))])
    return ["done"]


def _grow(client, topic, count):
    client.create_partitions({topic: int(count)})
    return ["done"]


def _trim(client, topic, partition, offset):
    client.delete_records({TopicPartition(topic, int(partition)): int(offset)})
    return ["done"]


def _start(client, topic, partition):
    place = TopicPartition(topic, int(partition))
    return [str(client.list_partition_offsets({place: OffsetSpec.EARLIEST})[place].offset)]


def _delete(client, topic):
    client.delete_topics([topic])
    return ["done"]


STEPS = {
    "create": _create,
    "describe": _describe,
    "list": _list,
    "configs": _configs,
    "alter": _alter,
    "grow": _grow,
    "trim": _trim,
    "start": _start,
    "delete": _delete,
}
