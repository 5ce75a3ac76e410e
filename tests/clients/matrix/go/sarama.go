package main

import (
	"fmt"
	"time"

	"github.com/IBM/sarama"
)

type saramaClient struct{}

var saramaCodecs = map[string]sarama.CompressionCodec{
	"none":   sarama.CompressionNone,
	"gzip":   sarama.CompressionGZIP,
	"snappy": sarama.CompressionSnappy,
	"lz4":    sarama.CompressionLZ4,
	"zstd":   sarama.CompressionZSTD,
}

func saramaConfig() *sarama.Config {
	config := sarama.NewConfig()
	config.Version = sarama.MaxVersion
	config.Producer.Return.Successes = true
	config.Consumer.Return.Errors = true
	config.Consumer.MaxWaitTime = 100 * time.Millisecond
	return config
}

func (saramaClient) write(job writeJob) (int, error) {
	codec, ok := saramaCodecs[job.codec]
	if !ok {
		return 0, fmt.Errorf("no codec %s", job.codec)
	}
	config := saramaConfig()
	config.Producer.Compression = codec
	config.Producer.Idempotent = true
	config.Producer.RequiredAcks = sarama.WaitForAll
	config.Net.MaxOpenRequests = 1 // what an idempotent producer of this library demands
	config.Producer.Partitioner = sarama.NewManualPartitioner
	config.Producer.Flush.Frequency = 5 * time.Millisecond
	producer, err := sarama.NewSyncProducer([]string{job.bootstrap}, config)
	if err != nil {
		return 0, err
	}
	defer producer.Close()
	var messages []*sarama.ProducerMessage
	for index := range job.records {
		made := makeRecord(job.seed, index)
		each := &sarama.ProducerMessage{
			Topic: job.topic, Partition: int32(index % job.partitions), Timestamp: time.UnixMilli(made.timestamp),
		}
		if made.key != nil {
			each.Key = sarama.ByteEncoder(made.key)
		}
		if made.value != nil {
			each.Value = sarama.ByteEncoder(made.value)
		}
		for _, h := range made.headers {
			each.Headers = append(each.Headers, sarama.RecordHeader{Key: []byte(h.name), Value: h.value})
		}
		messages = append(messages, each)
	}
	return len(messages), producer.SendMessages(messages)
}

func (saramaClient) read(bootstrap string, wanted *wanted) error {
	consumer, err := sarama.NewConsumer([]string{bootstrap}, saramaConfig())
	if err != nil {
		return err
	}
	defer consumer.Close()
	failed := make(chan error, 1)
	err = wanted.each(func(topic string, partition int32) error {
		from, err := consumer.ConsumePartition(topic, partition, sarama.OffsetOldest)
		if err != nil {
			return err
		}
		go func() {
			for err := range from.Errors() {
				select {
				case failed <- err:
				default:
				}
			}
		}()
		go func() {
			for found := range from.Messages() {
				r := record{key: found.Key, value: found.Value, timestamp: found.Timestamp.UnixMilli()}
				for _, h := range found.Headers {
					r.headers = append(r.headers, header{string(h.Key), h.Value})
				}
				wanted.add(found.Topic, found.Partition, found.Offset, r)
			}
		}()
		return nil
	})
	if err == nil {
		err = wanted.wait(failed)
	}
	return err
}
