"""kafka-python in the client matrix."""

import kafka
from kafka import KafkaConsumer, KafkaProducer, TopicPartition

import program

_consumers = {}


def version():
    return kafka.__version__


def write(bootstrap, topic, seed, records, partitions, codec):
    producer = KafkaProducer(
        bootstrap_servers=bootstrap,
        compression_type=None if codec == "none" else codec,
        linger_ms=5,
        batch_size=64 * 1024,
    )
    pending = []
    for index in range(records):
        key, value, headers, timestamp = program.record(seed, index)
        pending.append(
            producer.send(topic, value=value, key=key, headers=headers, partition=index % partitions, timestamp_ms=timestamp)
        )
    producer.flush(timeout=program.PATIENCE_S)
    for future in pending:
        future.get(timeout=program.PATIENCE_S)
    producer.close()
    return len(pending)


def read(bootstrap, wanted):
    if bootstrap not in _consumers:
        _consumers[bootstrap] = KafkaConsumer(bootstrap_servers=bootstrap, group_id=None, max_poll_records=5000)
    consumer = _consumers[bootstrap]
    partitions = [TopicPartition(*each) for each in wanted.partitions()]
    consumer.assign(partitions)
    consumer.seek_to_beginning(*partitions)
    while wanted.is_missing():
        for partition, records in consumer.poll(timeout_ms=200).items():
            fields = wanted.fields[partition.topic]
            for each in records:
                fields.add(each.partition, each.offset, each.key, each.value, each.headers or [], each.timestamp)
    consumer.unsubscribe()
