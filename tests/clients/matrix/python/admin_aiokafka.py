"""The admin client of aiokafka in the client matrix."""

import asyncio

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewPartitions, NewTopic, RecordsToDelete
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from aiokafka.errors import KafkaError, for_code

import program


def admin(bootstrap, step, topic, *rest):
    return asyncio.run(_admin(bootstrap, step, topic, rest))


async def _admin(bootstrap, step, topic, rest):
    if step == "start":
        return await _start(bootstrap, topic, *rest)
    client = AIOKafkaAdminClient(bootstrap_servers=bootstrap)
    await client.start()
    try:
        return await STEPS[step](client, topic, *rest)
    except KafkaError as error:
        return ["error %d" % error.errno]
    finally:
        await client.close()


def _check(errors):
    """Raises the first error of (…, code, …) rows whose second word is one."""
    for row in errors:
        if row[1] != 0:
            raise for_code(row[1])()
    return ["done"]


async def _create(client, topic):
    wanted = NewTopic(topic, 2, 1, topic_configs=dict(program.CREATED_WITH))
    return _check((await client.create_topics([wanted])).topic_errors)


async def _describe(client, topic):
    found = (await client.describe_topics([topic]))[0]
    if found["error_code"] != 0:
        raise for_code(found["error_code"])()
    partitions = sorted(found["partitions"], key=lambda each: each["partition"])
    return ["%d leader %d replicas %d" % (p["partition"], p["leader"], len(p["replicas"])) for p in partitions]


async def _list(client, topic):
    return ["listed" if topic in await client.list_topics() else "not listed"]


async def _configs(client, topic):
    found = await client.describe_configs([ConfigResource(ConfigResourceType.TOPIC, topic)])
    # Version 1 and 2: name, value, read only, source, …
    entries = {entry[0]: entry for entry in found[0].resources[0][4]}
    lines = []
    for name in program.CONFIGS:
        _, value, _, source, *_ = entries[name]
        lines.append("%s=%s %s" % (name, value, program.SOURCES.get(source, source)))
    return lines


async def _alter(client, topic):
    resource = ConfigResource(ConfigResourceType.TOPIC, topic, configs=dict(program.ALTERED_TO))
    found = await client.alter_configs([resource])
    return _check((None, row[0]) for row in found[0].resources)


async def _grow(client, topic, count):
    return _check((await client.create_partitions({topic: NewPartitions(int(count))})).topic_errors)


async def _trim(client, topic, partition, offset):
    await client.delete_records({TopicPartition(topic, int(partition)): RecordsToDelete(int(offset))})
    return ["done"]


async def _start(bootstrap, topic, partition):
    consumer = AIOKafkaConsumer(bootstrap_servers=bootstrap, group_id=None)
    await consumer.start()
    try:
        place = TopicPartition(topic, int(partition))
        return [str((await consumer.beginning_offsets([place]))[place])]
    finally:
        await consumer.stop()


async def _delete(client, topic):
    return _check((await client.delete_topics([topic])).topic_error_codes)


STEPS = {
    "create": _create,
    "describe": _describe,
    "list": _list,
    "configs": _configs,
    "alter": _alter,
    "grow": _grow,
    "trim": _trim,
    "delete": _delete,
}
