package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/segmentio/kafka-go"
)

// segmentio is kafka-go.
type segmentio struct{}

var segmentioCodecs = map[string]kafka.Compression{
	"none":   0,
	"gzip":   kafka.Gzip,
	"snappy": kafka.Snappy,
	"lz4":    kafka.Lz4,
	"zstd":   kafka.Zstd,
}

func (segmentio) write(job writeJob) (int, error) {
	codec, ok := segmentioCodecs[job.codec]
	if !ok {
		return 0, fmt.Errorf("no codec %s", job.codec)
	}
	writer := &kafka.Writer{
		Addr:         kafka.TCP(job.bootstrap),
		Topic:        job.topic,
		Compression:  codec,
		RequiredAcks: kafka.RequireAll,
		BatchTimeout: 5 * time.Millisecond,
		Balancer: kafka.BalancerFunc(func(message kafka.Message, _ ...int) int {
			return message.WriterData.(int)
		}),
	}
	defer writer.Close()
	var messages []kafka.Message
	for index := range job.records {
		made := makeRecord(job.seed, index)
		each := kafka.Message{
			Key: made.key, Value: made.value, Time: time.UnixMilli(made.timestamp), WriterData: index % job.partitions,
		}
		for _, h := range made.headers {
			each.Headers = append(each.Headers, kafka.Header{Key: h.name, Value: h.value})
		}
		messages = append(messages, each)
	}
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	return len(messages), writer.WriteMessages(ctx, messages...)
}

func (segmentio) read(bootstrap string, wanted *wanted) error {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	for _, topic := range wanted.topics {
		topic.fields.shown = "ewht" // it cannot tell the empty from null
	}
	failed := make(chan error, 1)
	wanted.each(func(topic string, partition int32) error {
		go func() {
			if err := readPartition(ctx, bootstrap, topic, partition, wanted); err != nil && ctx.Err() == nil {
				select {
				case failed <- err:
				default:
				}
			}
		}()
		return nil
	})
	return wanted.wait(failed)
}

func readPartition(ctx context.Context, bootstrap, topic string, partition int32, wanted *wanted) error {
	reader := kafka.NewReader(kafka.ReaderConfig{
		Brokers: []string{bootstrap}, Topic: topic, Partition: int(partition),
		MinBytes: 1, MaxBytes: 1 << 20, MaxWait: 100 * time.Millisecond,
		ErrorLogger: kafka.LoggerFunc(func(text string, values ...any) {
			fmt.Fprintf(errorLog, text+"\n", values...)
		}),
	})
	defer reader.Close()
	if err := reader.SetOffset(kafka.FirstOffset); err != nil {
		return err
	}
	for {
		found, err := reader.ReadMessage(ctx)
		if err != nil {
			return errors.Join(fmt.Errorf("%s-%d", topic, partition), err)
		}
		r := record{key: found.Key, value: found.Value, timestamp: found.Time.UnixMilli()}
		for _, h := range found.Headers {
			r.headers = append(r.headers, header{h.Key, h.Value})
		}
		wanted.add(topic, partition, found.Offset, r)
	}
}
