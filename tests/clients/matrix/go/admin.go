package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strconv"

	"github.com/IBM/sarama"
	"github.com/segmentio/kafka-go"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

var errorLog = os.Stderr

// What admin jobs set, and look at.
var (
	createdWith = map[string]string{"retention.ms": "-1"}
	alteredTo   = map[string]string{"retention.ms": "-1", "max.message.bytes": "2000000"}
	configNames = []string{"cleanup.policy", "max.message.bytes", "retention.ms"}
)

// Where a config comes from, by its number on the wire.
func source(number int) string {
	switch number {
	case 1:
		return "topic"
	case 5:
		return "default"
	}
	return strconv.Itoa(number)
}

var (
	done  = []string{"done"}
	lacks = []string{"lacks"}
)

// said turns what a broker refused into a line.
func said(lines []string, err error) ([]string, error) {
	var ofFranz *kerr.Error
	var ofSarama sarama.KError
	var ofSegmentio kafka.Error
	switch {
	case errors.As(err, &ofFranz):
		return []string{fmt.Sprintf("error %d", ofFranz.Code)}, nil
	case errors.As(err, &ofSarama):
		return []string{fmt.Sprintf("error %d", int(ofSarama))}, nil
	case errors.As(err, &ofSegmentio):
		return []string{fmt.Sprintf("error %d", int(ofSegmentio))}, nil
	}
	return lines, err
}

// numbers: those behind the topic of a job.
func numbers(words []string) (numbers []int64, err error) {
	for _, word := range words {
		number, failed := strconv.ParseInt(word, 10, 64)
		err = errors.Join(err, failed)
		numbers = append(numbers, number)
	}
	return numbers, err
}

func listed(is bool) []string {
	if is {
		return []string{"listed"}
	}
	return []string{"not listed"}
}

func partitionLine(partition, leader, replicas int) string {
	return fmt.Sprintf("%d leader %d replicas %d", partition, leader, replicas)
}

func (franz) admin(bootstrap, step string, words []string) ([]string, error) {
	client, err := kgo.NewClient(kgo.SeedBrokers(bootstrap))
	if err != nil {
		return nil, err
	}
	defer client.Close()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	topic := words[0]
	rest, err := numbers(words[1:])
	if err != nil {
		return nil, err
	}
	return said(franzStep(ctx, kadm.NewClient(client), step, topic, rest))
}

func franzStep(ctx context.Context, admin *kadm.Client, step, topic string, rest []int64) ([]string, error) {
	switch step {
	case "create":
		configs := map[string]*string{}
		for name, value := range createdWith {
			configs[name] = &value
		}
		_, err := admin.CreateTopic(ctx, 2, 1, configs, topic)
		return done, err
	case "describe":
		found, err := admin.ListTopics(ctx, topic)
		if err != nil {
			return nil, err
		}
		var lines []string
		for _, partition := range found[topic].Partitions.Sorted() {
			lines = append(lines, partitionLine(int(partition.Partition), int(partition.Leader), len(partition.Replicas)))
		}
		return lines, found[topic].Err
	case "list":
		found, err := admin.ListTopics(ctx)
		return listed(found.Has(topic)), err
	case "configs":
		found, err := admin.DescribeTopicConfigs(ctx, topic)
		if err != nil {
			return nil, err
		}
		var lines []string
		for _, config := range found[0].Configs {
			if slices.Contains(configNames, config.Key) {
				from := source(map[kmsg.ConfigSource]int{
					kmsg.ConfigSourceDynamicTopicConfig: 1, kmsg.ConfigSourceDefaultConfig: 5}[config.Source])
				lines = append(lines, fmt.Sprintf("%s=%s %s", config.Key, config.MaybeValue(), from))
			}
		}
		slices.Sort(lines)
		return lines, found[0].Err
	case "alter":
		var changes []kadm.AlterConfig
		for name, value := range alteredTo {
			changes = append(changes, kadm.AlterConfig{Op: kadm.SetConfig, Name: name, Value: &value})
		}
		answers, err := admin.AlterTopicConfigs(ctx, changes, topic)
		if err != nil {
			return nil, err
		}
		return done, answers[0].Err
	case "grow":
		answers, err := admin.UpdatePartitions(ctx, int(rest[0]), topic)
		if err != nil {
			return nil, err
		}
		return done, answers[topic].Err
	case "trim":
		offsets := kadm.Offsets{}
		offsets.AddOffset(topic, int32(rest[0]), rest[1], -1)
		answers, err := admin.DeleteRecords(ctx, offsets)
		if err != nil {
			return nil, err
		}
		return done, answers.Error()
	case "start":
		found, err := admin.ListStartOffsets(ctx, topic)
		if err != nil {
			return nil, err
		}
		offset, _ := found.Lookup(topic, int32(rest[0]))
		return []string{strconv.FormatInt(offset.Offset, 10)}, offset.Err
	case "delete":
		answers, err := admin.DeleteTopics(ctx, topic)
		if err != nil {
			return nil, err
		}
		return done, answers[topic].Err
	}
	return lacks, nil
}

func (saramaClient) admin(bootstrap, step string, words []string) ([]string, error) {
	rest, err := numbers(words[1:])
	if err != nil {
		return nil, err
	}
	client, err := sarama.NewClient([]string{bootstrap}, saramaConfig())
	if err != nil {
		return nil, err
	}
	admin, err := sarama.NewClusterAdminFromClient(client)
	if err != nil {
		return nil, err
	}
	defer admin.Close()
	if step == "start" {
		offset, err := client.GetOffset(words[0], int32(rest[0]), sarama.OffsetOldest)
		return said([]string{strconv.FormatInt(offset, 10)}, err)
	}
	return said(saramaStep(admin, step, words[0], rest))
}

func saramaStep(admin sarama.ClusterAdmin, step, topic string, rest []int64) ([]string, error) {
	switch step {
	case "create":
		configs := map[string]*string{}
		for name, value := range createdWith {
			configs[name] = &value
		}
		wanted := &sarama.TopicDetail{NumPartitions: 2, ReplicationFactor: 1, ConfigEntries: configs}
		return done, admin.CreateTopic(topic, wanted, false)
	case "describe":
		found, err := admin.DescribeTopics([]string{topic})
		if err != nil {
			return nil, err
		}
		if found[0].Err != sarama.ErrNoError {
			return nil, found[0].Err
		}
		var lines []string
		for _, partition := range found[0].Partitions {
			lines = append(lines, partitionLine(int(partition.ID), int(partition.Leader), len(partition.Replicas)))
		}
		slices.Sort(lines)
		return lines, nil
	case "list":
		found, err := admin.ListTopics()
		_, is := found[topic]
		return listed(is), err
	case "configs":
		found, err := admin.DescribeConfig(sarama.ConfigResource{Type: sarama.TopicResource, Name: topic, ConfigNames: configNames})
		var lines []string
		for _, config := range found {
			lines = append(lines, fmt.Sprintf("%s=%s %s", config.Name, config.Value, source(int(config.Source))))
		}
		slices.Sort(lines)
		return lines, err
	case "alter":
		changes := map[string]sarama.IncrementalAlterConfigsEntry{}
		for name, value := range alteredTo {
			changes[name] = sarama.IncrementalAlterConfigsEntry{Operation: sarama.IncrementalAlterConfigsOperationSet, Value: &value}
		}
		return done, admin.IncrementalAlterConfig(sarama.TopicResource, topic, changes, false)
	case "grow":
		return done, admin.CreatePartitions(topic, int32(rest[0]), nil, false)
	case "trim":
		return done, admin.DeleteRecords(topic, map[int32]int64{int32(rest[0]): rest[1]})
	case "delete":
		return done, admin.DeleteTopic(topic)
	}
	return lacks, nil
}

func (segmentio) admin(bootstrap, step string, words []string) ([]string, error) {
	rest, err := numbers(words[1:])
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	// A transport of its own: it remembers what topics there are.
	transport := &kafka.Transport{}
	defer transport.CloseIdleConnections()
	client := &kafka.Client{Addr: kafka.TCP(bootstrap), Transport: transport}
	return said(segmentioStep(ctx, client, step, words[0], rest))
}

func segmentioStep(ctx context.Context, client *kafka.Client, step, topic string, rest []int64) ([]string, error) {
	switch step {
	case "create":
		wanted := kafka.TopicConfig{Topic: topic, NumPartitions: 2, ReplicationFactor: 1}
		for name, value := range createdWith {
			wanted.ConfigEntries = append(wanted.ConfigEntries, kafka.ConfigEntry{ConfigName: name, ConfigValue: value})
		}
		answer, err := client.CreateTopics(ctx, &kafka.CreateTopicsRequest{Topics: []kafka.TopicConfig{wanted}})
		if err != nil {
			return nil, err
		}
		return done, answer.Errors[topic]
	case "describe":
		found, err := client.Metadata(ctx, &kafka.MetadataRequest{Topics: []string{topic}})
		if err != nil {
			return nil, err
		}
		var lines []string
		for _, partition := range found.Topics[0].Partitions {
			lines = append(lines, partitionLine(partition.ID, partition.Leader.ID, len(partition.Replicas)))
		}
		slices.Sort(lines)
		return lines, found.Topics[0].Error
	case "list":
		found, err := client.Metadata(ctx, &kafka.MetadataRequest{})
		if err != nil {
			return nil, err
		}
		return listed(slices.ContainsFunc(found.Topics, func(each kafka.Topic) bool { return each.Name == topic })), nil
	case "configs":
		resource := kafka.DescribeConfigRequestResource{ResourceType: kafka.ResourceTypeTopic, ResourceName: topic, ConfigNames: configNames}
		found, err := client.DescribeConfigs(ctx, &kafka.DescribeConfigsRequest{Resources: []kafka.DescribeConfigRequestResource{resource}})
		if err != nil {
			return nil, err
		}
		var lines []string
		for _, config := range found.Resources[0].ConfigEntries {
			lines = append(lines, fmt.Sprintf("%s=%s %s", config.ConfigName, config.ConfigValue, source(int(config.ConfigSource))))
		}
		slices.Sort(lines)
		return lines, found.Resources[0].Error
	case "alter":
		resource := kafka.IncrementalAlterConfigsRequestResource{ResourceType: kafka.ResourceTypeTopic, ResourceName: topic}
		for name, value := range alteredTo {
			resource.Configs = append(resource.Configs, kafka.IncrementalAlterConfigsRequestConfig{
				Name: name, Value: value, ConfigOperation: kafka.ConfigOperationSet})
		}
		answer, err := client.IncrementalAlterConfigs(ctx, &kafka.IncrementalAlterConfigsRequest{
			Resources: []kafka.IncrementalAlterConfigsRequestResource{resource}})
		if err != nil {
			return nil, err
		}
		return done, answer.Resources[0].Error
	case "grow":
		answer, err := client.CreatePartitions(ctx, &kafka.CreatePartitionsRequest{
			Topics: []kafka.TopicPartitionsConfig{{Name: topic, Count: int32(rest[0])}}})
		if err != nil {
			return nil, err
		}
		return done, answer.Errors[topic]
	case "start":
		found, err := client.ListOffsets(ctx, &kafka.ListOffsetsRequest{
			Topics: map[string][]kafka.OffsetRequest{topic: {kafka.FirstOffsetOf(int(rest[0]))}}})
		if err != nil {
			return nil, err
		}
		partition := found.Topics[topic][0]
		return []string{strconv.FormatInt(partition.FirstOffset, 10)}, partition.Error
	case "delete":
		answer, err := client.DeleteTopics(ctx, &kafka.DeleteTopicsRequest{Topics: []string{topic}})
		if err != nil {
			return nil, err
		}
		return done, answer.Errors[topic]
	}
	return lacks, nil
}
