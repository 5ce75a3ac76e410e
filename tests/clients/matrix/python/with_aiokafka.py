"""aiokafka in the client matrix."""

import asyncio

import aiokafka
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition

import program


def version():
    return aiokafka.__version__


def write(*job):
    return asyncio.run(_write(*job))


def read(bootstrap, wanted):
    asyncio.run(_read(bootstrap, wanted))


async def _write(bootstrap, topic, seed, records, partitions, codec):
    producer = AIOKafkaProducer(
        bootstrap_servers=bootstrap,
        compression_type=None if codec == "none" else codec,
        enable_idempotence=True,
        linger_ms=5,
        max_batch_size=64 * 1024,
    )
    await producer.start()
    try:
        pending = []
        for index in range(records):
            key, value, headers, timestamp = program.record(seed, index)
            pending.append(
                await producer.send(
                    topic, value=value, key=key, headers=headers, partition=index % partitions, timestamp_ms=timestamp
                )
            )
        await asyncio.wait_for(asyncio.gather(*pending), program.PATIENCE_S)
        return len(pending)
    finally:
        await producer.stop()


async def _read(bootstrap, wanted):
    consumer = AIOKafkaConsumer(bootstrap_servers=bootstrap, group_id=None, enable_auto_commit=False)
    await consumer.start()
    try:
        partitions = [TopicPartition(*each) for each in wanted.partitions()]
        consumer.assign(partitions)
        await consumer.seek_to_beginning(*partitions)
        while wanted.is_missing():
            for partition, records in (await consumer.getmany(timeout_ms=200)).items():
                fields = wanted.fields[partition.topic]
                for each in records:
                    fields.add(each.partition, each.offset, each.key, each.value, each.headers, each.timestamp)
    finally:
        await consumer.stop()
