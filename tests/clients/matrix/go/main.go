// The program of the client matrix for the Go clients: franz-go, sarama and kafka-go.
//
// README.md, in the folder above, says what it promises.
package main

import (
	"bufio"
	"errors"
	"fmt"
	"os"
	"runtime/debug"
	"strconv"
	"strings"
	"sync"
	"time"
)

// Longest that a client may take for a job.
const patience = 30 * time.Second

// client is one of those in this program.
type client interface {
	write(job writeJob) (int, error)
	read(bootstrap string, wanted *wanted) error
	admin(bootstrap, step string, arguments []string) ([]string, error)
}

var clients = []struct {
	name, module string
	client       client
}{
	{"franz-go", "github.com/twmb/franz-go", franz{}},
	{"sarama", "github.com/IBM/sarama", saramaClient{}},
	{"kafka-go", "github.com/segmentio/kafka-go", segmentio{}},
}

type writeJob struct {
	bootstrap, topic, codec string
	seed                    uint64
	records, partitions     int
}

// wanted is what a read job asks for, and how much of it is there. Clients may add from several goroutines.
type wanted struct {
	mutex  sync.Mutex
	order  []string
	topics map[string]*wantedTopic
	left   int
	all    chan struct{}
	limit  time.Duration
}

type wantedTopic struct {
	partitions, records int
	fields              *fields
}

func parseWanted(patienceMs, text string) (*wanted, error) {
	ms, err := strconv.Atoi(patienceMs)
	if err != nil {
		return nil, err
	}
	w := &wanted{topics: map[string]*wantedTopic{}, all: make(chan struct{}), limit: time.Duration(ms) * time.Millisecond}
	for _, each := range strings.Split(text, ",") {
		words := strings.Split(each, ":")
		if len(words) != 3 {
			return nil, fmt.Errorf("not a topic: %q", each)
		}
		partitions, err := strconv.Atoi(words[1])
		if err != nil {
			return nil, err
		}
		records, err := strconv.Atoi(words[2])
		if err != nil {
			return nil, err
		}
		w.order = append(w.order, words[0])
		w.topics[words[0]] = &wantedTopic{partitions, records, newFields()}
		w.left += records
	}
	return w, nil
}

func (w *wanted) add(topic string, partition int32, offset int64, r record) {
	w.mutex.Lock()
	defer w.mutex.Unlock()
	w.topics[topic].fields.add(partition, offset, r)
	w.left--
	if w.left == 0 {
		close(w.all)
	}
}

// each calls a function for every partition that is wanted.
func (w *wanted) each(do func(topic string, partition int32) error) error {
	for _, topic := range w.order {
		for partition := range w.topics[topic].partitions {
			if err := do(topic, int32(partition)); err != nil {
				return err
			}
		}
	}
	return nil
}

// wait returns when everything was added, when something failed, or when it takes too long.
func (w *wanted) wait(failed <-chan error) error {
	select {
	case <-w.all:
		return nil
	case err := <-failed:
		return err
	case <-time.After(w.limit):
		return w.missing()
	}
}

func (w *wanted) missing() error {
	w.mutex.Lock()
	defer w.mutex.Unlock()
	text := fmt.Sprintf("after %v:", w.limit)
	for _, topic := range w.order {
		if t := w.topics[topic]; t.fields.count < t.records {
			text += fmt.Sprintf(" %s: %d of %d", topic, t.fields.count, t.records)
		}
	}
	return errors.New(text)
}

func tell(words ...string) {
	for i, word := range words {
		words[i] = strings.NewReplacer("\t", " ", "\n", " | ").Replace(word)
	}
	fmt.Println(strings.Join(words, "\t"))
}

func run(words []string) error {
	if len(words) < 4 {
		return fmt.Errorf("not a job: %q", words)
	}
	for _, each := range clients {
		if each.name != words[1] {
			continue
		}
		switch words[0] {
		case "write":
			return runWrite(each.client, words)
		case "read":
			return runRead(each.client, words)
		case "admin":
			seen, err := each.client.admin(words[2], words[3], words[4:])
			for _, line := range seen {
				tell("saw", line)
			}
			return err
		}
	}
	return fmt.Errorf("no such job: %q", words)
}

func runWrite(c client, words []string) error {
	if len(words) != 8 {
		return fmt.Errorf("not a job: %q", words)
	}
	seed, err := strconv.ParseUint(words[4], 10, 64)
	if err != nil {
		return err
	}
	records, err := strconv.Atoi(words[5])
	if err != nil {
		return err
	}
	partitions, err := strconv.Atoi(words[6])
	if err != nil {
		return err
	}
	job := writeJob{bootstrap: words[2], topic: words[3], codec: words[7], seed: seed, records: records, partitions: partitions}
	count, err := c.write(job)
	if err == nil {
		tell("wrote", strconv.Itoa(count))
	}
	return err
}

func runRead(c client, words []string) error {
	if len(words) != 5 {
		return fmt.Errorf("not a job: %q", words)
	}
	wanted, err := parseWanted(words[3], words[4])
	if err != nil {
		return err
	}
	err = c.read(words[2], wanted)
	wanted.mutex.Lock()
	defer wanted.mutex.Unlock()
	for _, topic := range wanted.order {
		if t := wanted.topics[topic]; t.fields.count >= t.records {
			tell(append([]string{"read", topic}, t.fields.words()...)...)
		}
	}
	return err
}

func version(module string) string {
	if info, ok := debug.ReadBuildInfo(); ok {
		for _, dep := range info.Deps {
			if dep.Path == module {
				return strings.TrimPrefix(dep.Version, "v")
			}
		}
	}
	return "unknown"
}

func main() {
	for _, each := range clients {
		tell("client", each.name, version(each.module))
	}
	tell("ready")
	jobs := bufio.NewScanner(os.Stdin)
	jobs.Buffer(nil, 1<<20)
	for jobs.Scan() {
		if err := run(strings.Split(jobs.Text(), "\t")); err != nil {
			tell("error", err.Error())
		}
		tell("done")
	}
}
