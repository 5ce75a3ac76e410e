import java.time.Duration;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Properties;
import java.util.concurrent.Future;
import java.util.concurrent.TimeUnit;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.clients.producer.RecordMetadata;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.serialization.ByteArrayDeserializer;
import org.apache.kafka.common.serialization.ByteArraySerializer;

/** The producer and the consumer of kafka-clients. */
final class Library implements MatrixProgram.Client {
    private final Map<String, KafkaConsumer<byte[], byte[]>> consumers = new HashMap<>();

    @Override
    public int write(String bootstrap, String topic, long seed, int records, int partitions, String codec) throws Exception {
        Properties settings = new Properties();
        settings.put("bootstrap.servers", bootstrap);
        settings.put("compression.type", codec);
        settings.put("enable.idempotence", "true");
        settings.put("acks", "all");
        settings.put("linger.ms", "5");
        settings.put("batch.size", "65536");
        settings.put("key.serializer", ByteArraySerializer.class.getName());
        settings.put("value.serializer", ByteArraySerializer.class.getName());
        try (KafkaProducer<byte[], byte[]> producer = new KafkaProducer<>(settings)) {
            List<Future<RecordMetadata>> pending = new ArrayList<>();
            for (int index = 0; index < records; index++) {
                Records each = new Records(seed, index);
                pending.add(producer.send(new ProducerRecord<>(
                        topic, index % partitions, each.timestamp, each.key, each.value, each.headers)));
            }
            producer.flush();
            for (Future<RecordMetadata> each : pending) each.get(MatrixProgram.PATIENCE_MS, TimeUnit.MILLISECONDS);
            return pending.size();
        }
    }

    @Override
    public void read(String bootstrap, MatrixProgram.Wanted wanted) {
        KafkaConsumer<byte[], byte[]> consumer = consumers.computeIfAbsent(bootstrap, Library::consumer);
        List<TopicPartition> partitions = new ArrayList<>();
        wanted.topics.forEach((name, topic) -> {
            for (int partition = 0; partition < topic.partitions; partition++) {
                partitions.add(new TopicPartition(name, partition));
            }
        });
        consumer.assign(partitions);
        consumer.seekToBeginning(partitions);
        while (wanted.isMissing()) {
            for (ConsumerRecord<byte[], byte[]> each : consumer.poll(Duration.ofMillis(200))) {
                wanted.topics.get(each.topic()).fields.add(
                        each.partition(), each.offset(), each.key(), each.value(), each.headers(), each.timestamp());
            }
        }
        consumer.unsubscribe();
    }

    private static KafkaConsumer<byte[], byte[]> consumer(String bootstrap) {
        Properties settings = new Properties();
        settings.put("bootstrap.servers", bootstrap);
        settings.put("enable.auto.commit", "false");
        settings.put("max.poll.records", "5000");
        settings.put("key.deserializer", ByteArrayDeserializer.class.getName());
        settings.put("value.deserializer", ByteArrayDeserializer.class.getName());
        return new KafkaConsumer<>(settings);
    }
}
