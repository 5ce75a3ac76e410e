package main

import (
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"hash"
	"slices"
)

const firstTimestampMs = 1_700_000_000_000

type header struct {
	name  string
	value []byte
}

// record: nil is null.
type record struct {
	key, value []byte
	headers    []header
	timestamp  int64
}

// makeRecord is record `index` of `seed`, as workload.py and tests/support/workload.rs make it.
func makeRecord(seed uint64, index int) record {
	digest := sha256.Sum256(fmt.Appendf(nil, "%d/%d", seed, index))
	draw := int(binary.BigEndian.Uint16(digest[:2]))
	size := draw
	switch kind := digest[2]; {
	case index%1000 == 999:
		size = 0
	case kind < 230:
		size = draw % 200
	case kind < 254:
		size = draw % 4096
	}
	made := record{timestamp: firstTimestampMs + int64(index)}
	switch {
	case index%5 == 4:
	case index%211 == 7:
		made.key = []byte{}
	default:
		made.key = fmt.Appendf(nil, "key-%d", index%1000)
	}
	if index%97 != 13 || made.key == nil {
		made.value = make([]byte, size)
		for i := range made.value {
			made.value[i] = digest[i%len(digest)]
		}
	}
	for j := range index % 3 {
		made.headers = append(made.headers, header{fmt.Sprintf("h%d", j), slices.Clone(digest[j : j+8])})
	}
	return made
}

const kinds = "kevwht"

// fields are the digests of a topic, field by field.
type fields struct {
	count   int
	shown   string
	digests map[int32]map[rune]hash.Hash
}

func newFields() *fields {
	return &fields{shown: kinds, digests: map[int32]map[rune]hash.Hash{}}
}

func (f *fields) add(partition int32, offset int64, r record) {
	f.count++
	into := f.digests[partition]
	if into == nil {
		into = map[rune]hash.Hash{}
		for _, kind := range kinds {
			into[kind] = sha256.New()
		}
		f.digests[partition] = into
	}
	place := binary.BigEndian.AppendUint64(binary.BigEndian.AppendUint32(nil, uint32(partition)), uint64(offset))
	for _, digest := range into {
		digest.Write(place)
	}
	addBytes(into['k'], r.key)
	addBytes(into['e'], orNull(r.key))
	addBytes(into['v'], r.value)
	addBytes(into['w'], orNull(r.value))
	into['h'].Write(binary.BigEndian.AppendUint32(nil, uint32(len(r.headers))))
	for _, each := range r.headers {
		addBytes(into['h'], []byte(each.name))
		addBytes(into['h'], each.value)
	}
	into['t'].Write(binary.BigEndian.AppendUint64(nil, uint64(r.timestamp)))
}

// orNull: for clients that cannot tell the empty from null.
func orNull(bytes []byte) []byte {
	if len(bytes) == 0 {
		return nil
	}
	return bytes
}

func addBytes(into hash.Hash, bytes []byte) {
	length := int32(-1)
	if bytes != nil {
		length = int32(len(bytes))
	}
	into.Write(binary.BigEndian.AppendUint32(nil, uint32(length)))
	into.Write(bytes)
}

func (f *fields) words() []string {
	words := []string{fmt.Sprint(f.count)}
	for _, kind := range kinds {
		text := "-"
		if slices.Contains([]rune(f.shown), kind) {
			text = f.hex(kind)
		}
		words = append(words, fmt.Sprintf("%c=%s", kind, text))
	}
	return words
}

func (f *fields) hex(kind rune) string {
	var partitions []int32
	for partition := range f.digests {
		partitions = append(partitions, partition)
	}
	slices.Sort(partitions)
	whole := sha256.New()
	for _, partition := range partitions {
		whole.Write(f.digests[partition][kind].Sum(nil))
	}
	return fmt.Sprintf("%x", whole.Sum(nil))[:16]
}
