#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

use bytes::Bytes;
use proptest::collection::vec;
use proptest::prelude::*;

use crate::fixture::{
    alter, any_entry, below, create_topic, object, open_session, plain, produce, run, sequenced, topic_id,
};
use crate::{Command, ConfigResource, DecodeError, DeleteRecordsRun, Entry, Position, SessionId};

fn entry(commands: Vec<Command>) -> Entry {
    Entry { known: Position::new(0, 300), hash_at_known: 0x0102_0304, commands }
}

fn every_command() -> Entry {
    let runs = vec![run(0, 0, vec![plain(3), sequenced(1, 7, 2), sequenced(1, 9, 1)]), run(4, 300, vec![plain(1)])];
    let session = SessionId(Position::new(0, 5));
    entry(vec![
        open_session(9),
        Command::CloseSession { session, last_append: Position::new(0, 6) },
        create_topic(1, "orders", 12),
        produce(runs),
        Command::AllocateProducerIds { count: 1_000 },
        alter(ConfigResource::Topic(topic_id(1)), Position::new(0, 300), &[("retention.ms", "5"), ("", "")]),
        alter(ConfigResource::Cluster, Position::ZERO, &[]),
        alter(ConfigResource::Broker(-1), Position::new(0, 1), &[("a", "b")]),
        Command::CreatePartitions { topic_id: topic_id(1), count: 300 },
        Command::DeleteRecords {
            runs: vec![below(0, 1), below(1, None), DeleteRecordsRun { topic_id: topic_id(2), ..below(0, -1) }],
        },
    ])
}

fn decode(bytes: &[u8]) -> Result<Entry, DecodeError> {
    Entry::decode(&Bytes::copy_from_slice(bytes))
}

#[test]
fn every_command_round_trips() {
    let entry = every_command();
    assert_eq!(Entry::decode(&entry.encode()), Ok(entry));
}

// The format of feature level 1, byte by byte: what is in a log today is read for ever.
#[test]
fn the_bytes_of_an_entry_are_fixed() {
    let runs = vec![run(1, 0, vec![sequenced(0, 5, 2)])];
    let produce = Command::Produce { object: object(0x0a0b), object_bytes: 300, runs };
    let entry = Entry { known: Position::new(0, 300), hash_at_known: 1, commands: vec![produce] };
    let hash = [&[1_u8][..], &[0; 15]].concat();
    let topic = [&[0_u8; 15][..], &[1]].concat();
    let expected = [
        &[1, 0xac, 0x02][..],               // version, known
        &hash,                              // hash at known
        &[1, 4],                            // one command: Produce
        &[1, 0x0b, 0x0a, 0, 0, 0, 0, 0, 0], // object
        &[0xac, 0x02, 1],                   // object bytes, one run
        &[1],                               // a topic id follows
        &topic,
        &[2, 0, 1],                          // partition 1, start 0, one batch
        &[1, 2, 100, 10, 0x9a, 0x01, 0, 10], // producer follows, records, bytes, timestamp, 77, epoch, sequence
    ]
    .concat();
    assert_eq!(entry.encode(), expected);
}

// The format of feature level 1, byte by byte: what is in a log today is read for ever.
#[test]
fn the_bytes_of_configs_partitions_and_deletions_are_fixed() {
    let topic = topic_id(1);
    let second = DeleteRecordsRun { topic_id: topic_id(2), ..below(3, -1) };
    let commands = vec![
        alter(ConfigResource::Topic(topic), Position::new(0, 300), &[("ab", "c")]),
        alter(ConfigResource::Cluster, Position::ZERO, &[]),
        alter(ConfigResource::Broker(1), Position::new(0, 2), &[]),
        Command::CreatePartitions { topic_id: topic, count: 300 },
        Command::DeleteRecords { runs: vec![below(0, 5), below(1, None), second] },
    ];
    let entry = Entry { known: Position::ZERO, hash_at_known: 0, commands };
    let id = |last: u8| [&[0_u8; 15][..], &[last]].concat();
    let expected = [
        &[1, 0][..],
        &[0; 16],
        &[5],
        &[16, 1],
        &id(1),
        &[0xac, 0x02, 1, 2, b'a', b'b', 1, b'c'], // seen, one config
        &[16, 2, 0, 0],                           // the cluster, never changed, no configs
        &[16, 3, 2, 2, 0],                        // broker 1
        &[17],
        &id(1),
        &[0xac, 0x02],
        &[18, 3, 3], // three runs; a topic id and an offset follow
        &id(1),
        &[0, 10],
        &[0, 2], // the same topic, no offset
        &[3],
        &id(2),
        &[6, 1],
    ]
    .concat();
    assert_eq!(entry.encode(), expected);
}

// An append of 12 partitions stays under the 256 bytes that need no body of their own (design §14).
#[test]
fn a_typical_entry_is_small() {
    let batch = |partition: i32| crate::BatchRef {
        records: 100,
        bytes: 105_000,
        producer: Some(crate::BatchProducer { id: 4_611_686_018_427_000_000, epoch: 0, base_sequence: 5_000_000 }),
        max_timestamp: 1_790_000_000_000 + i64::from(partition),
    };
    let runs = (0..12).map(|p| run(p, 105_000 * u64::from(p.unsigned_abs()), vec![batch(p)])).collect();
    let produce = Command::Produce { object: object(u64::MAX), object_bytes: 12 * 105_000, runs };
    let bytes = entry(vec![produce]).encode();
    assert!(bytes.len() <= 256, "{}", bytes.len());
}

// Holds: L11 (undecodable: an error, so that the caller stops before acting), I-09
#[test]
fn an_entry_cut_anywhere_is_an_error() {
    let bytes = every_command().encode();
    for len in 0..bytes.len() {
        assert!(decode(&bytes[..len]).is_err(), "cut at {len}");
    }
    let longer = [&bytes[..], &[0]].concat();
    assert_eq!(decode(&longer), Err(DecodeError::Trailing(1)));
}

// Holds: L11, I-12 (a gateway that meets an unknown command stops before acting)
#[test]
fn an_unknown_version_or_command_is_named() {
    let mut bytes = entry(vec![Command::AllocateProducerIds { count: 1 }]).encode().to_vec();
    assert!(decode(&bytes).is_ok());
    let tag = bytes.len() - 2;
    bytes[tag] = 200;
    assert_eq!(decode(&bytes), Err(DecodeError::UnknownCommand(200)));
    bytes[0] = 2;
    assert_eq!(decode(&bytes), Err(DecodeError::UnknownVersion(2)));
    assert_eq!(decode(&[]), Err(DecodeError::Truncated));
}

// Holds: I-09
#[test]
fn forged_counts_are_errors_before_anything_is_allocated() {
    let head = [&[1_u8, 0][..], &[0; 16]].concat();
    let huge = [0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01];
    let forged = |parts: &[&[u8]]| decode(&[&head[..], &parts.concat()].concat());
    assert_eq!(forged(&[&huge]), Err(DecodeError::TooLong));
    assert_eq!(forged(&[&[100], &[5, 1]]), Err(DecodeError::TooLong), "100 commands in 2 bytes");
    let object = [1, 4, 1, 0, 0, 0, 0, 0, 0, 0, 0, 10];
    assert_eq!(forged(&[&object, &huge]), Err(DecodeError::TooLong), "runs");
    let run = [&[1_u8, 1][..], &[0; 16], &[0, 0]].concat();
    assert_eq!(forged(&[&object, &run, &huge]), Err(DecodeError::TooLong), "batches");
    assert_eq!(forged(&[&[1, 1], &[0; 16], &[1, 0], &huge]), Err(DecodeError::TooLong), "length of a name");
    assert_eq!(forged(&[&[1, 3], &[0; 16], &[0, 1, 0], &huge]), Err(DecodeError::TooLong), "configs");
    assert_eq!(forged(&[&[1, 16, 2, 0], &huge]), Err(DecodeError::TooLong), "altered configs");
    assert_eq!(forged(&[&[1, 18], &huge]), Err(DecodeError::TooLong), "deletions");
}

#[test]
fn a_flag_that_refers_to_nothing_before_is_an_error() {
    let head = [&[1_u8, 0][..], &[0; 16], &[1, 4, 1, 0, 0, 0, 0, 0, 0, 0, 0, 10, 1]].concat();
    let same_topic = [&head[..], &[0, 0, 0, 0, 0, 0]].concat();
    assert_eq!(decode(&same_topic), Err(DecodeError::UnknownTag(0)));
    let same_producer = [&head[..], &[1], &[0; 16], &[0, 0, 1], &[2, 1, 100, 0, 0]].concat();
    assert_eq!(decode(&same_producer), Err(DecodeError::UnknownTag(2)));
    let head = [&[1_u8, 0][..], &[0; 16], &[1]].concat();
    let deletion = |flags| decode(&[&head[..], &[18, 1, flags, 0]].concat());
    assert_eq!(deletion(0), Err(DecodeError::UnknownTag(0)));
    assert_eq!(deletion(4), Err(DecodeError::UnknownTag(4)));
    assert_eq!(decode(&[&head[..], &[16, 4, 0, 0]].concat()), Err(DecodeError::UnknownTag(4)));
}

proptest! {
    #![proptest_config(crate::simulation::config(2_000))]

    // Holds: L11 (whatever can be sealed can be decoded by all)
    #[test]
    fn any_entry_round_trips(entry in any_entry()) {
        prop_assert_eq!(Entry::decode(&entry.encode()), Ok(entry));
    }

    // Holds: I-09
    #[test]
    fn random_bytes_never_panic(bytes in vec(any::<u8>(), 0..200)) {
        let _ = decode(&bytes);
        let _ = decode(&[&[1, 0][..], &[0; 16], &[3, 4], &bytes].concat());
    }

    // Holds: I-09 (damage to a real entry: an error, or an entry that round-trips)
    #[test]
    fn a_damaged_entry_never_panics(entry in any_entry(), at: prop::sample::Index, with: u8) {
        let mut bytes = entry.encode().to_vec();
        let at = at.index(bytes.len());
        bytes[at] = with;
        if let Ok(other) = decode(&bytes) {
            prop_assert_eq!(Entry::decode(&other.encode()), Ok(other));
        }
    }
}
