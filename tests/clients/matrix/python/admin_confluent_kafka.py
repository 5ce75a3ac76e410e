"""The admin client of confluent-kafka-python in the client matrix."""

from confluent_kafka import KafkaException, TopicCollection, TopicPartition
from confluent_kafka.admin import (
    AdminClient,
    AlterConfigOpType,
    ConfigEntry,
    ConfigResource,
    NewPartitions,
    NewTopic,
    OffsetSpec,
    ResourceType,
)

import program

_admins = {}


def admin(bootstrap, step, topic, *rest):
    if bootstrap not in _admins:
        _admins[bootstrap] = AdminClient({"bootstrap.servers": bootstrap})
    try:
        return STEPS[step](_admins[bootstrap], topic, *rest)
    except KafkaException as error:
        return ["error %d" % error.args[0].code()]


def _outcome(futures):
    """What the one future of an answer brings."""
    (future,) = futures.values()
    return future.result(timeout=program.PATIENCE_S)


def _create(client, topic):
    _outcome(client.create_topics([NewTopic(topic, 2, 1, config=dict(program.CREATED_WITH))]))
    return ["done"]


def _describe(client, topic):
    found = _outcome(client.describe_topics(TopicCollection([topic])))
    partitions = sorted(found.partitions, key=lambda each: each.id)
    return ["%d leader %d replicas %d" % (p.id, p.leader.id, len(p.replicas)) for p in partitions]


def _list(client, topic):
    return ["listed" if topic in client.list_topics(timeout=10).topics else "not listed"]


def _configs(client, topic):
    found = _outcome(client.describe_configs([ConfigResource(ResourceType.TOPIC, topic)]))
    lines = []
    for name in program.CONFIGS:
        source = found[name].source
        lines.append("%s=%s %s" % (name, found[name].value, program.SOURCES.get(source, source)))
    return lines


def _alter(client, topic):
    entries = [
        ConfigEntry(name, value, incremental_operation=AlterConfigOpType.SET) for name, value in program.ALTERED_TO
    ]
    resource = ConfigResource(ResourceType.TOPIC, topic, incremental_configs=entries)
    _outcome(client.incremental_alter_configs([resource]))
    return ["done"]


def _grow(client, topic, count):
    _outcome(client.create_partitions([NewPartitions(topic, int(count))]))
    return ["done"]


def _trim(client, topic, partition, offset):
    _outcome(client.delete_records([TopicPartition(topic, int(partition), int(offset))]))
    return ["done"]


def _start(client, topic, partition):
    place = TopicPartition(topic, int(partition))
    return [str(_outcome(client.list_offsets({place: OffsetSpec.earliest()})).offset)]


def _delete(client, topic):
    _outcome(client.delete_topics([topic]))
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
