package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

// franz is franz-go: kgo, and kadm on top of it.
type franz struct{}

var franzCodecs = map[string]func() kgo.CompressionCodec{
	"none":   kgo.NoCompression,
	"gzip":   kgo.GzipCompression,
	"snappy": kgo.SnappyCompression,
	"lz4":    kgo.Lz4Compression,
	"zstd":   kgo.ZstdCompression,
}

func (franz) write(job writeJob) (int, error) {
	codec, ok := franzCodecs[job.codec]
	if !ok {
		return 0, fmt.Errorf("no codec %s", job.codec)
	}
	client, err := kgo.NewClient(
		kgo.SeedBrokers(job.bootstrap),
		kgo.DefaultProduceTopic(job.topic),
		kgo.RecordPartitioner(kgo.ManualPartitioner()),
		kgo.ProducerBatchCompression(codec()),
		kgo.ProducerLinger(5*time.Millisecond),
		kgo.ProducerBatchMaxBytes(64*1024+16*1024),
	)
	if err != nil {
		return 0, err
	}
	defer client.Close()
	var records []*kgo.Record
	for index := range job.records {
		made := makeRecord(job.seed, index)
		each := &kgo.Record{
			Key: made.key, Value: made.value, Timestamp: time.UnixMilli(made.timestamp), Partition: int32(index % job.partitions),
		}
		for _, h := range made.headers {
			each.Headers = append(each.Headers, kgo.RecordHeader{Key: h.name, Value: h.value})
		}
		records = append(records, each)
	}
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	results := client.ProduceSync(ctx, records...)
	return len(results), results.FirstErr()
}

func (franz) read(bootstrap string, wanted *wanted) error {
	from := map[string]map[int32]kgo.Offset{}
	wanted.each(func(topic string, partition int32) error {
		if from[topic] == nil {
			from[topic] = map[int32]kgo.Offset{}
		}
		from[topic][partition] = kgo.NewOffset().AtStart()
		return nil
	})
	client, err := kgo.NewClient(
		kgo.SeedBrokers(bootstrap), kgo.ConsumePartitions(from), kgo.FetchMaxWait(100*time.Millisecond))
	if err != nil {
		return err
	}
	defer client.Close()
	ctx, cancel := context.WithTimeout(context.Background(), wanted.limit)
	defer cancel()
	for {
		select {
		case <-wanted.all:
			return nil
		default:
		}
		fetches := client.PollFetches(ctx)
		if ctx.Err() != nil {
			return wanted.missing()
		}
		var failed error
		fetches.EachError(func(topic string, partition int32, err error) {
			failed = errors.Join(failed, fmt.Errorf("%s-%d: %w", topic, partition, err))
		})
		if failed != nil {
			return failed
		}
		fetches.EachRecord(func(found *kgo.Record) {
			r := record{key: found.Key, value: found.Value, timestamp: found.Timestamp.UnixMilli()}
			for _, h := range found.Headers {
				r.headers = append(r.headers, header{h.Key, h.Value})
			}
			wanted.add(found.Topic, found.Partition, found.Offset, r)
		})
	}
}
