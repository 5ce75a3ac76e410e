// One consumer of a group with franz-go, in a process of its own: a member program of the group suites.
//
// member.py, in the folder above, says what it promises: options, events on standard output, commands on standard input.
// Rebalances wait while records are processed (BlockRebalanceOnPoll); every commit is synchronous.
package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// What commits and close may take before they are given up.
const patience = 30 * time.Second

var balancers = map[string]func() kgo.GroupBalancer{
	"range":              kgo.RangeBalancer,
	"roundrobin":         kgo.RoundRobinBalancer,
	"sticky":             kgo.StickyBalancer,
	"cooperative-sticky": kgo.CooperativeStickyBalancer,
}

var printing sync.Mutex

func tell(event string, fields map[string]any) {
	line := map[string]any{"event": event, "at_us": time.Now().UnixMicro()}
	for name, value := range fields {
		line[name] = value
	}
	text, err := json.Marshal(line)
	if err != nil {
		text = []byte(`{"event":"error","message":"an event could not be written","fatal":false}`)
	}
	printing.Lock()
	defer printing.Unlock()
	os.Stdout.Write(append(text, '\n'))
}

func tellError(err error, fatal bool) {
	tell("error", map[string]any{"message": err.Error(), "fatal": fatal})
}

type options struct {
	bootstrap, group, topic, assignor, clientID, instanceID, reset string
	sessionMs, maxPollMs, heartbeatMs, commitMs                    int
}

func parse() options {
	var asked options
	flag.StringVar(&asked.bootstrap, "bootstrap", "", "host:port[,host:port…]")
	flag.StringVar(&asked.group, "group", "", "")
	flag.StringVar(&asked.topic, "topic", "", "")
	flag.StringVar(&asked.assignor, "assignor", "range", "range, roundrobin, sticky or cooperative-sticky")
	flag.StringVar(&asked.clientID, "client-id", "member-go", "")
	flag.StringVar(&asked.instanceID, "instance-id", "", "")
	flag.StringVar(&asked.reset, "auto-offset-reset", "earliest", "earliest or latest")
	flag.IntVar(&asked.sessionMs, "session-ms", 10000, "")
	flag.IntVar(&asked.maxPollMs, "max-poll-ms", 0, "the rebalance timeout; default: as --session-ms")
	flag.IntVar(&asked.heartbeatMs, "heartbeat-ms", 0, "default: a third of --session-ms, at most 1000")
	flag.IntVar(&asked.commitMs, "commit-ms", 200, "")
	flag.Parse()
	if asked.bootstrap == "" || asked.group == "" || asked.topic == "" || balancers[asked.assignor] == nil || flag.NArg() > 0 {
		flag.Usage()
		os.Exit(2)
	}
	if asked.maxPollMs == 0 {
		asked.maxPollMs = asked.sessionMs
	}
	if asked.heartbeatMs == 0 {
		asked.heartbeatMs = max(1, min(1000, asked.sessionMs/3))
	}
	return asked
}

func milliseconds(n int) time.Duration { return time.Duration(n) * time.Millisecond }

// member: the next offset of every partition that it owns, and what of it is committed. The client's callbacks, which
// run on another goroutine, come only while no poll is being worked on; the mutex makes that visible.
type member struct {
	topic     string
	fenced    error // another process took this static member's place
	mutex     sync.Mutex
	next      map[int32]int64
	committed map[int32]int64
}

func (m *member) connect(asked options) (*kgo.Client, error) {
	start := kgo.NewOffset().AtStart()
	if asked.reset == "latest" {
		start = kgo.NewOffset().AtEnd()
	}
	settings := []kgo.Opt{
		kgo.SeedBrokers(strings.Split(asked.bootstrap, ",")...),
		kgo.ClientID(asked.clientID),
		kgo.ConsumerGroup(asked.group),
		kgo.ConsumeTopics(asked.topic),
		kgo.Balancers(balancers[asked.assignor]()),
		kgo.SessionTimeout(milliseconds(asked.sessionMs)),
		kgo.RebalanceTimeout(milliseconds(asked.maxPollMs)),
		kgo.HeartbeatInterval(milliseconds(asked.heartbeatMs)),
		kgo.ConsumeResetOffset(start),
		kgo.DisableAutoCommit(),
		kgo.BlockRebalanceOnPoll(),
		kgo.FetchMaxWait(500 * time.Millisecond),
		kgo.WithLogger(kgo.BasicLogger(os.Stderr, kgo.LogLevelWarn, nil)),
		kgo.OnPartitionsAssigned(func(_ context.Context, _ *kgo.Client, assigned map[string][]int32) {
			tell("assigned", map[string]any{"partitions": m.sorted(assigned)})
		}),
		kgo.OnPartitionsRevoked(func(_ context.Context, client *kgo.Client, revoked map[string][]int32) {
			m.commit(client, m.sorted(revoked))
			m.giveUp("revoked", m.sorted(revoked))
		}),
		kgo.OnPartitionsLost(func(_ context.Context, _ *kgo.Client, lost map[string][]int32) {
			m.giveUp("lost", m.sorted(lost))
		}),
	}
	if asked.instanceID != "" {
		settings = append(settings, kgo.InstanceID(asked.instanceID))
	}
	return kgo.NewClient(settings...)
}

func (m *member) sorted(partitions map[string][]int32) []int32 {
	numbers := append([]int32{}, partitions[m.topic]...)
	slices.Sort(numbers)
	return numbers
}

func (m *member) giveUp(event string, partitions []int32) {
	m.mutex.Lock()
	for _, partition := range partitions {
		delete(m.next, partition)
		delete(m.committed, partition)
	}
	m.mutex.Unlock()
	if len(partitions) > 0 {
		tell(event, map[string]any{"partitions": partitions})
	}
}

// uncommitted: of these partitions, or of all where there are none given.
func (m *member) uncommitted(partitions []int32) map[int32]int64 {
	m.mutex.Lock()
	defer m.mutex.Unlock()
	offsets := map[int32]int64{}
	for partition, offset := range m.next {
		if m.committed[partition] != offset && (partitions == nil || slices.Contains(partitions, partition)) {
			offsets[partition] = offset
		}
	}
	return offsets
}

func (m *member) commit(client *kgo.Client, partitions []int32) {
	offsets := m.uncommitted(partitions)
	if len(offsets) == 0 {
		return
	}
	asked := map[int32]kgo.EpochOffset{}
	for partition, offset := range offsets {
		asked[partition] = kgo.EpochOffset{Epoch: -1, Offset: offset}
	}
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	done := func(_ *kgo.Client, _ *kmsg.OffsetCommitRequest, answer *kmsg.OffsetCommitResponse, err error) {
		m.commitAnswered(offsets, answer, err)
	}
	client.CommitOffsetsSync(ctx, map[string]map[int32]kgo.EpochOffset{m.topic: asked}, done)
}

func (m *member) commitAnswered(offsets map[int32]int64, answer *kmsg.OffsetCommitResponse, err error) {
	if err != nil {
		tellError(fmt.Errorf("commit: %w", err), false)
		return
	}
	accepted := map[string]int64{}
	m.mutex.Lock()
	for _, topic := range answer.Topics {
		for _, partition := range topic.Partitions {
			if refusal := kerr.ErrorForCode(partition.ErrorCode); refusal != nil {
				err = refusal
				continue
			}
			m.committed[partition.Partition] = offsets[partition.Partition]
			accepted[strconv.Itoa(int(partition.Partition))] = offsets[partition.Partition]
		}
	}
	if errors.Is(err, kerr.FencedInstanceID) {
		m.fenced = err
	}
	m.mutex.Unlock()
	if len(accepted) > 0 {
		tell("committed", map[string]any{"offsets": accepted})
	}
	if err != nil && !errors.Is(err, kerr.FencedInstanceID) {
		tellError(fmt.Errorf("commit: %d of %d partitions refused: %w", len(offsets)-len(accepted), len(offsets), err), false)
	}
}

func (m *member) fencing() error {
	m.mutex.Lock()
	defer m.mutex.Unlock()
	return m.fenced
}

func (m *member) process(batch kgo.FetchTopicPartition) {
	if len(batch.Records) == 0 {
		return
	}
	first, last := batch.Records[0].Offset, batch.Records[len(batch.Records)-1].Offset
	tell("records", map[string]any{"partition": batch.Partition, "first": first, "last": last, "count": len(batch.Records)})
	m.mutex.Lock()
	m.next[batch.Partition] = last + 1
	m.mutex.Unlock()
}

// consume polls and commits until told to stop. Errors that pass are told; others are returned.
func (m *member) consume(client *kgo.Client, commands <-chan string, commitEvery time.Duration) error {
	commitAt := time.Now()
	for {
		ctx, cancel := context.WithTimeout(context.Background(), 100*time.Millisecond)
		polled := client.PollRecords(ctx, 500)
		cancel()
		var fatal error
		polled.EachError(func(_ string, _ int32, err error) {
			if errors.Is(err, context.DeadlineExceeded) {
				return
			}
			if errors.Is(err, kerr.FencedInstanceID) || errors.Is(err, kgo.ErrClientClosed) {
				fatal = err
				return
			}
			tellError(err, false)
		})
		if fatal != nil {
			return fatal
		}
		polled.EachPartition(m.process)
		if !time.Now().Before(commitAt) {
			m.commit(client, nil)
			commitAt = time.Now().Add(commitEvery)
		}
		if fenced := m.fencing(); fenced != nil {
			return fenced
		}
		if stopAsked(commands) { // a pause holds rebalances up, as slow processing would
			m.commit(client, nil)
			return nil
		}
		client.AllowRebalance()
	}
}

func readCommands(commands chan<- string) {
	lines := bufio.NewScanner(os.Stdin)
	for lines.Scan() {
		commands <- strings.TrimSpace(lines.Text())
	}
	commands <- "stop"
}

// stopAsked carries out what came; returns whether the member shall leave. A pause ends early when it shall.
func stopAsked(commands <-chan string) bool {
	pause := time.NewTimer(0)
	defer pause.Stop()
	paused := false
	for {
		var command string
		if paused {
			select {
			case command = <-commands:
			case <-pause.C:
				return false
			}
		} else {
			select {
			case command = <-commands:
			default:
				return false
			}
		}
		words := strings.Fields(command)
		switch {
		case len(words) == 1 && words[0] == "stop":
			return true
		case len(words) == 2 && words[0] == "pause":
			forMs, err := strconv.Atoi(words[1])
			if err != nil {
				tellError(err, false)
				continue
			}
			pause.Reset(milliseconds(forMs))
			paused = true
		case len(words) > 0:
			tellError(errors.New("unknown command: "+command), false)
		}
	}
}

func main() {
	asked := parse()
	m := &member{topic: asked.topic, next: map[int32]int64{}, committed: map[int32]int64{}}
	commands := make(chan string, 16)
	go readCommands(commands)
	client, err := m.connect(asked)
	if err == nil {
		err = m.consume(client, commands, milliseconds(asked.commitMs))
	}
	outcome := 0
	if err != nil {
		tellError(err, true)
		outcome = 1
	}
	if client != nil {
		closed := make(chan struct{})
		go func() {
			client.CloseAllowingRebalance() // revokes what it has: the callback above is called
			close(closed)
		}()
		select {
		case <-closed:
		case <-time.After(patience):
			tellError(errors.New("close took too long"), true)
			outcome = 1
		}
	}
	tell("closed", nil)
	os.Exit(outcome)
}
