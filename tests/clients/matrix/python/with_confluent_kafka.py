"""confluent-kafka-python, which is librdkafka, in the client matrix."""

import confluent_kafka
from confluent_kafka import OFFSET_BEGINNING, Consumer, Producer, TopicPartition

import program


def version():
    return "%s (librdkafka %s)" % (confluent_kafka.__version__, confluent_kafka.libversion()[0])


def write(bootstrap, topic, seed, records, partitions, codec):
    outcomes = []
    producer = Producer(
        {
            "bootstrap.servers": bootstrap,
            "compression.codec": codec,
            "enable.idempotence": True,
            "linger.ms": 5,
            "message.timeout.ms": program.PATIENCE_S * 1000,
        }
    )
    for index in range(records):
        key, value, headers, timestamp = program.record(seed, index)
        producer.produce(
            topic,
            value=value,
            key=key,
            headers=headers,
            partition=index % partitions,
            timestamp=timestamp,
            on_delivery=lambda error, _: outcomes.append(error),
        )
    producer.flush(program.PATIENCE_S)
    failed = [error for error in outcomes if error is not None]
    if failed:
        raise confluent_kafka.KafkaException(failed[0])
    return len(outcomes)


def read(bootstrap, wanted):
    consumer = Consumer({"bootstrap.servers": bootstrap, "group.id": "unused", "enable.auto.commit": False})
    try:
        consumer.assign([TopicPartition(topic, partition, OFFSET_BEGINNING) for topic, partition in wanted.partitions()])
        while wanted.is_missing():
            for each in consumer.consume(1000, timeout=0.05):
                if each.error() is not None:
                    raise confluent_kafka.KafkaException(each.error())
                fields = wanted.fields[each.topic()]
                fields.add(
                    each.partition(), each.offset(), each.key(), each.value(), each.headers() or [], each.timestamp()[1]
                )
    finally:
        consumer.close()
