#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

use proptest::collection::btree_map;
use proptest::prelude::*;

use super::section::{read_topic, write_topic};
use crate::fixture::{Replay, create_topic, key, plain, produce, run, topic_id};
use crate::wire::{Reader, Writer};
use crate::{BatchVerdict, Command, Outcome, PartitionsRefusal, Position, Topic, TopicRefusal, limits};

fn with_configs(id: u128, name: &str, configs: Vec<(String, String)>) -> Command {
    let name = name.to_owned();
    Command::CreateTopic { topic_id: topic_id(id), name, partitions: 1, configs, created_at_ms: 0 }
}

fn refused(reason: TopicRefusal) -> Outcome {
    Outcome::TopicRefused(reason)
}

#[test]
fn a_created_topic_is_found_by_name_and_id_and_has_empty_partitions() {
    let (replay, _) = Replay::with_topic();
    let state = &replay.state;
    let topic = state.topic_by_name("t").unwrap();
    assert_eq!(state.topic_by_id(topic_id(1)), Some(topic));
    assert_eq!((topic.partitions, topic.created_at, topic.created_at_ms), (3, Position::new(0, 2), 7));
    assert_eq!(topic.configs.get("retention.ms").map(String::as_str), Some("60000"));
    assert_eq!((state.topic_count(), state.partition_count()), (1, 3));
    let partition = state.partition(&key(2)).unwrap();
    assert_eq!((partition.log_start_offset(), partition.high_watermark(), partition.extent_count()), (0, 0, 0));
    assert!(state.partition(&key(3)).is_none() && state.partition(&key(-1)).is_none());
}

#[test]
fn topics_are_listed_in_the_order_of_their_names() {
    let (mut replay, session) = Replay::opened();
    for (id, name) in [(9, "b"), (8, "c"), (7, "a")] {
        replay.one(session, create_topic(id, name, 1));
    }
    let names: Vec<_> = replay.state.topics().map(|topic| topic.name.to_string()).collect();
    assert_eq!(names, ["a", "b", "c"]);
}

// Holds: L12
#[test]
fn partitions_of_a_topic_are_spread_evenly_over_64_shards() {
    let (mut replay, session) = Replay::opened();
    replay.one(session, create_topic(1, "t", 128));
    let mut counts = [0_u32; limits::SHARDS as usize];
    for (_, partition) in replay.state.partitions() {
        counts[usize::from(partition.shard())] += 1;
    }
    assert_eq!(counts, [2; limits::SHARDS as usize]);
}

#[test]
fn the_same_name_is_answered_with_the_existing_topic() {
    let (mut replay, session) = Replay::with_topic();
    let again = replay.one(session, create_topic(2, "t", 9));
    assert_eq!(again, Outcome::TopicExists { topic_id: topic_id(1) });
    assert_eq!(replay.state.topic_by_name("t").unwrap().partitions, 3);
    assert_eq!(replay.state.partition_count(), 3);
}

#[test]
fn names_that_differ_only_in_dot_and_underscore_collide() {
    let (mut replay, session) = Replay::opened();
    replay.one(session, create_topic(1, "a.b_c", 1));
    assert_eq!(replay.one(session, create_topic(2, "a_b.c", 1)), refused(TopicRefusal::Collides));
    let other = replay.one(session, create_topic(3, "a-b-c", 1));
    assert!(matches!(other, Outcome::TopicCreated { .. }));
}

#[test]
fn illegal_topics_are_refused_with_their_reason() {
    let (mut replay, session) = Replay::with_topic();
    let most = limits::PARTITIONS_PER_TOPIC;
    for (command, reason) in [
        (create_topic(2, "a b", 1), TopicRefusal::InvalidName),
        (create_topic(2, "..", 1), TopicRefusal::InvalidName),
        (create_topic(2, "u", 0), TopicRefusal::InvalidPartitions),
        (create_topic(2, "u", most + 1), TopicRefusal::InvalidPartitions),
        (create_topic(2, "u", u32::MAX), TopicRefusal::InvalidPartitions),
        (create_topic(0, "u", 1), TopicRefusal::InvalidId),
        (create_topic(1, "u", 1), TopicRefusal::InvalidId),
    ] {
        assert_eq!(replay.one(session, command), refused(reason));
    }
    assert_eq!((replay.state.topic_count(), replay.state.partition_count()), (1, 3));
}

fn grow(id: u128, count: u32) -> Command {
    Command::CreatePartitions { topic_id: topic_id(id), count }
}

// Holds: L12 (a new partition has the shard that it would have had from the first)
#[test]
fn a_topic_is_given_more_partitions() {
    let (mut replay, session) = Replay::with_topic();
    let verdicts = replay.produce(session, vec![plain(4)]);
    assert_eq!(verdicts, [BatchVerdict::Accepted { base_offset: 0 }]);
    let applied = replay.send(session, vec![grow(1, 5)]);
    assert_eq!(applied.outcomes, [Outcome::PartitionsCreated { count: 5 }]);
    assert!(applied.touched.is_empty());
    for topic in [replay.state.topic_by_name("t"), replay.state.topic_by_id(topic_id(1))] {
        assert_eq!(topic.map(|topic| (topic.partitions, topic.configs_changed_at)), Some((5, Position::new(0, 2))));
    }
    assert_eq!(replay.state.partition_count(), 5);
    assert_eq!(replay.state.partition(&key(0)).unwrap().high_watermark(), 4, "an old one is as it was");
    let (mut whole, other) = Replay::opened();
    whole.one(other, create_topic(1, "t", 5));
    for index in 0..5 {
        let key = key(index);
        assert_eq!(replay.state.partition(&key).unwrap().shard(), whole.state.partition(&key).unwrap().shard());
    }
    let runs = vec![run(4, 0, vec![plain(1)])];
    let produced = replay.one(session, produce(runs));
    assert_eq!(produced, Outcome::Produced(vec![vec![BatchVerdict::Accepted { base_offset: 0 }]]));
}

// Holds: L11
#[test]
fn partitions_are_never_fewer() {
    let (mut replay, session) = Replay::with_topic();
    let not_more = |current| Outcome::PartitionsRefused(PartitionsRefusal::NotMore { current });
    let outcomes = replay.send(session, vec![grow(1, 0), grow(1, 3), grow(1, 2), grow(1, 4), grow(1, 4), grow(9, 4)]);
    let unknown = Outcome::PartitionsRefused(PartitionsRefusal::UnknownTopic);
    let created = Outcome::PartitionsCreated { count: 4 };
    assert_eq!(outcomes.outcomes, [not_more(3), not_more(3), not_more(3), created, not_more(4), unknown]);
    assert_eq!(replay.state.partition_count(), 4);
}

// Holds: I-14
#[test]
fn partitions_that_are_added_are_bounded() {
    let (mut replay, session) = Replay::with_topic();
    let most = limits::PARTITIONS_PER_TOPIC;
    let full = Outcome::PartitionsRefused(PartitionsRefusal::LimitReached);
    let outcomes = replay.send(session, vec![grow(1, most + 1), grow(1, u32::MAX), grow(1, most)]).outcomes;
    assert_eq!(outcomes, [full.clone(), full.clone(), Outcome::PartitionsCreated { count: most }]);
    let topics = limits::PARTITIONS / usize::try_from(most).unwrap();
    let mut commands: Vec<_> = (2..topics as u128).map(|id| create_topic(id, &format!("t{id}"), most)).collect();
    commands.push(create_topic(100, "last", most - 1));
    commands.push(grow(100, most + 1));
    commands.push(create_topic(101, "one", 1));
    commands.push(grow(100, most));
    let outcomes = replay.send(session, commands).outcomes;
    assert_eq!(outcomes.last(), Some(&full));
    assert_eq!(replay.state.partition_count(), limits::PARTITIONS);
    assert_eq!(replay.state.topic_by_name("last").unwrap().partitions, most - 1);
}

// Holds: I-14
#[test]
fn configs_are_bounded_and_named_once() {
    let (mut replay, session) = Replay::opened();
    let config = |name: String, value: usize| (name, "v".repeat(value));
    let many = |count| (0..count).map(|i| config(format!("c{i}"), 1)).collect::<Vec<_>>();
    for configs in [
        vec![config("a".to_owned(), 1), config("a".to_owned(), 2)],
        vec![config(String::new(), 1)],
        vec![config("a".repeat(limits::CONFIG_NAME_BYTES + 1), 1)],
        vec![config("a".to_owned(), limits::CONFIG_VALUE_BYTES + 1)],
        many(limits::CONFIGS_PER_TOPIC + 1),
    ] {
        assert_eq!(replay.one(session, with_configs(5, "t", configs)), refused(TopicRefusal::InvalidConfig));
    }
    let mut configs = many(limits::CONFIGS_PER_TOPIC);
    configs[0] = config("a".repeat(limits::CONFIG_NAME_BYTES), limits::CONFIG_VALUE_BYTES);
    let created = replay.one(session, with_configs(5, "t", configs));
    assert!(matches!(created, Outcome::TopicCreated { .. }));
}

// Holds: I-14
#[test]
fn partitions_of_all_topics_are_bounded() {
    let (mut replay, session) = Replay::opened();
    let most = limits::PARTITIONS_PER_TOPIC;
    let full = limits::PARTITIONS / usize::try_from(most).unwrap();
    // One entry, so that the invariants are checked once.
    let mut commands: Vec<_> = (1..full as u128).map(|id| create_topic(id, &format!("t{id}"), most)).collect();
    commands.push(create_topic(100, "last", most - 1));
    commands.push(create_topic(101, "too-many", 2));
    commands.push(create_topic(102, "one", 1));
    commands.push(create_topic(103, "none", 1));
    let outcomes = replay.send(session, commands).outcomes;
    let tail = &outcomes[outcomes.len() - 3..];
    assert_eq!(tail[0], refused(TopicRefusal::LimitReached));
    assert!(matches!(tail[1], Outcome::TopicCreated { .. }));
    assert_eq!(tail[2], refused(TopicRefusal::LimitReached));
    assert_eq!(replay.state.partition_count(), limits::PARTITIONS);
}

proptest! {
    #![proptest_config(crate::simulation::config(256))]
    // Holds: L12 (persisted positions name their log)
    #[test]
    fn a_topic_in_a_snapshot_round_trips(
        id: u128, name in ".{0,30}", partitions: u32, position: u64, created_at_ms: i64,
        configs in btree_map(".{0,10}", ".{0,10}", 0..4),
    ) {
        let topic = Topic {
            id: topic_id(id),
            name: name.as_str().into(),
            partitions,
            configs: configs.into_iter().collect(),
            configs_changed_at: Position::from_raw(position),
            created_at: Position::from_raw(position),
            created_at_ms,
        };
        let mut writer = Writer::default();
        write_topic(&mut writer, &topic);
        let mut reader = Reader::new(writer.as_slice());
        prop_assert_eq!(read_topic(&mut reader).unwrap(), topic);
        prop_assert!(reader.is_empty());
    }
}
