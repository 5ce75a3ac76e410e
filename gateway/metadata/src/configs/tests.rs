#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

use crate::fixture::{Replay, alter, create_topic, topic_id};
use crate::{Command, ConfigRefusal, ConfigResource, Incarnation, Outcome, Position, SessionId, State, limits};

const CLUSTER: ConfigResource = ConfigResource::Cluster;
const BROKER: ConfigResource = ConfigResource::Broker(1);
const OTHER: ConfigResource = ConfigResource::Broker(2);

fn topic() -> ConfigResource {
    ConfigResource::Topic(topic_id(1))
}

fn changed_at(replay: &Replay, resource: ConfigResource) -> Position {
    replay.state.configs_changed_at(resource).unwrap()
}

/// What a resource has, as text.
fn configs(replay: &Replay, resource: ConfigResource) -> String {
    let set = match resource {
        ConfigResource::Topic(id) => Some(&replay.state.topic_by_id(id).unwrap().configs),
        ConfigResource::Cluster => Some(&replay.state.cluster_configs().configs),
        ConfigResource::Broker(broker) => replay.state.broker_configs(broker).map(|set| &set.configs),
    };
    let pairs = set.into_iter().flatten().map(|(name, value)| format!("{name}={value}"));
    pairs.collect::<Vec<_>>().join(" ")
}

/// Alters a resource as somebody does who has just looked.
fn set(replay: &mut Replay, session: SessionId, resource: ConfigResource, pairs: &[(&str, &str)]) -> Outcome {
    let seen = changed_at(replay, resource);
    replay.one(session, alter(resource, seen, pairs))
}

#[test]
fn a_set_is_replaced_as_a_whole() {
    let (mut replay, session) = Replay::with_topic();
    assert_eq!(changed_at(&replay, topic()), Position::new(0, 2), "creation is the first change");
    for resource in [CLUSTER, BROKER, OTHER] {
        assert_eq!(changed_at(&replay, resource), Position::ZERO);
    }
    for resource in [topic(), CLUSTER, BROKER] {
        for pairs in [&[("b", "2"), ("a", "1")][..], &[("c", "")], &[("a", "1")]] {
            assert_eq!(set(&mut replay, session, resource, pairs), Outcome::ConfigsAltered);
            assert_eq!(changed_at(&replay, resource), replay.state.known());
        }
        assert_eq!(configs(&replay, resource), "a=1");
    }
    let brokers: Vec<_> = replay.state.brokers_with_configs().map(|(broker, _)| broker).collect();
    assert_eq!(brokers, [1]);
    let by_name = replay.state.topic_by_name("t").unwrap();
    assert_eq!(by_name, replay.state.topic_by_id(topic_id(1)).unwrap());
    assert_eq!((by_name.partitions, by_name.created_at), (3, Position::new(0, 2)));
    for resource in [topic(), CLUSTER, BROKER] {
        assert_eq!(set(&mut replay, session, resource, &[]), Outcome::ConfigsAltered);
        assert_eq!(configs(&replay, resource), "");
    }
    assert_eq!(replay.state.broker_configs(1), None);
    assert_eq!(replay.state.brokers_with_configs().count(), 0);
}

// Holds: T7 (of two who saw the same set, the second hears of it and undoes nothing)
#[test]
fn a_change_of_a_set_that_has_moved_is_refused() {
    let (mut replay, session) = Replay::with_topic();
    for resource in [topic(), CLUSTER, BROKER] {
        let seen = changed_at(&replay, resource);
        let (mine, theirs) = (alter(resource, seen, &[("mine", "1")]), alter(resource, seen, &[("theirs", "1")]));
        // In one entry, and in a later one.
        let at = replay.state.known().next();
        let outcomes = replay.send(session, vec![mine, theirs.clone()]).outcomes;
        assert_eq!(outcomes, [Outcome::ConfigsAltered, Outcome::ConfigsMoved { at }]);
        assert_eq!(replay.one(session, theirs), Outcome::ConfigsMoved { at });
        assert_eq!(configs(&replay, resource), "mine=1");
        assert_eq!(changed_at(&replay, resource), at, "a refusal changes nothing");
        let early = alter(resource, Position::new(1, at.index()), &[]);
        assert_eq!(replay.one(session, early), Outcome::ConfigsMoved { at }, "a position of another log");
    }
}

// Holds: T7 (what was changed and changed back is another set than the one before)
#[test]
fn a_set_that_was_changed_and_changed_back_has_moved() {
    let (mut replay, session) = Replay::with_topic();
    for resource in [topic(), CLUSTER, BROKER] {
        for pairs in [&[][..], &[("a", "1")]] {
            set(&mut replay, session, resource, pairs);
            let seen = changed_at(&replay, resource);
            set(&mut replay, session, resource, &[("other", "1")]);
            set(&mut replay, session, resource, pairs);
            let at = replay.state.known();
            let stale = alter(resource, seen, &[("stale", "1")]);
            assert_eq!(replay.one(session, stale), Outcome::ConfigsMoved { at }, "{resource:?} {pairs:?}");
        }
    }
}

// Holds: T7 (a broker that is forgotten keeps its place in time, though not its own)
#[test]
fn the_set_of_another_broker_that_is_emptied_makes_a_proposer_look_again_and_loses_nothing() {
    let (mut replay, session) = Replay::with_topic();
    set(&mut replay, session, BROKER, &[("a", "1")]);
    let seen = changed_at(&replay, OTHER);
    assert_eq!(seen, Position::ZERO);
    set(&mut replay, session, BROKER, &[]);
    let at = replay.state.known();
    let stale = alter(OTHER, seen, &[("b", "1")]);
    assert_eq!(replay.one(session, stale), Outcome::ConfigsMoved { at });
    assert_eq!(set(&mut replay, session, OTHER, &[("b", "1")]), Outcome::ConfigsAltered);
    let seen = changed_at(&replay, OTHER);
    set(&mut replay, session, BROKER, &[]);
    let later = alter(OTHER, seen, &[("b", "2")]);
    assert_eq!(replay.one(session, later), Outcome::ConfigsAltered, "a broker with configs has a place of its own");
}

#[test]
fn the_configs_of_a_topic_go_with_it() {
    let (mut replay, session) = Replay::with_topic();
    set(&mut replay, session, topic(), &[("a", "1")]);
    let seen = changed_at(&replay, topic());
    replay.one(session, Command::DeleteTopic { topic_id: topic_id(1) });
    assert_eq!(replay.state.configs_changed_at(topic()), None);
    let gone = Outcome::ConfigsRefused(ConfigRefusal::UnknownTopic);
    assert_eq!(replay.one(session, alter(topic(), seen, &[("b", "1")])), gone);
    replay.one(session, create_topic(2, "t", 1));
    let next = ConfigResource::Topic(topic_id(2));
    assert_eq!(configs(&replay, next), "retention.ms=60000");
    assert_eq!(replay.one(session, alter(topic(), seen, &[("b", "1")])), gone);
}

// Holds: I-14, L11
#[test]
fn sets_have_the_bounds_of_a_new_topic_s() {
    let (mut replay, session) = Replay::with_topic();
    let pair = |name: usize, value: usize| ("a".repeat(name), "v".repeat(value));
    let many = |count| (0..count).map(|i| (format!("c{i}"), String::new())).collect::<Vec<_>>();
    let before = replay.state.clone();
    for resource in [topic(), CLUSTER, BROKER] {
        let seen = changed_at(&replay, resource);
        for configs in [
            vec![pair(1, 1), pair(1, 2)],
            vec![pair(0, 1)],
            vec![pair(limits::CONFIG_NAME_BYTES + 1, 0)],
            vec![pair(1, limits::CONFIG_VALUE_BYTES + 1)],
            many(limits::CONFIGS_PER_TOPIC + 1),
        ] {
            let refused = replay.one(session, Command::AlterConfigs { resource, seen, configs });
            assert_eq!(refused, Outcome::ConfigsRefused(ConfigRefusal::Invalid));
        }
    }
    let negative = replay.one(session, alter(ConfigResource::Broker(-1), Position::ZERO, &[("a", "b")]));
    assert_eq!(negative, Outcome::ConfigsRefused(ConfigRefusal::Invalid));
    assert_eq!(replay.state.configs, before.configs);
    assert!(replay.state.topics().eq(before.topics()));
    let mut configs = many(limits::CONFIGS_PER_TOPIC);
    configs[0] = pair(limits::CONFIG_NAME_BYTES, limits::CONFIG_VALUE_BYTES);
    let altered = replay.one(session, Command::AlterConfigs { resource: BROKER, seen: Position::ZERO, configs });
    assert_eq!(altered, Outcome::ConfigsAltered);
}

// Holds: I-14
#[test]
fn brokers_with_configs_are_bounded_and_those_without_take_no_room() {
    let (mut replay, session) = Replay::opened();
    let most = i32::try_from(limits::BROKERS_WITH_CONFIGS).unwrap();
    let on = |broker| alter(ConfigResource::Broker(broker), Position::ZERO, &[("a", "b")]);
    let outcomes = replay.send(session, (0..=most).map(on).collect()).outcomes;
    let full = Outcome::ConfigsRefused(ConfigRefusal::LimitReached);
    let count = outcomes.iter().filter(|outcome| **outcome == Outcome::ConfigsAltered).count();
    assert_eq!((count, outcomes.last()), (limits::BROKERS_WITH_CONFIGS, Some(&full)));
    let nothing = alter(ConfigResource::Broker(most), Position::ZERO, &[]);
    assert_eq!(replay.one(session, nothing), Outcome::ConfigsAltered, "nothing needs no room");
    assert_eq!(set(&mut replay, session, BROKER, &[("a", "c")]), Outcome::ConfigsAltered, "it has its room");
    assert_eq!(set(&mut replay, session, ConfigResource::Broker(most), &[("a", "b")]), full);
    set(&mut replay, session, BROKER, &[]);
    assert_eq!(set(&mut replay, session, ConfigResource::Broker(most), &[("a", "b")]), Outcome::ConfigsAltered);
    assert_eq!(set(&mut replay, session, BROKER, &[("a", "b")]), full);
}

// Holds: L10, L12 (positions of changes are persisted)
#[test]
fn configs_and_when_they_changed_survive_a_snapshot() {
    let (mut replay, session) = Replay::with_topic();
    let unchanged = replay.state.snapshot(1 << 20);
    replay.one(session, create_topic(2, "u", 1));
    for (resource, pairs) in [
        (topic(), &[("a", "1"), ("b", "2")][..]),
        (CLUSTER, &[("c", "3")]),
        (BROKER, &[("d", "4")]),
        (OTHER, &[("e", "5")]),
        (OTHER, &[]),
    ] {
        assert_eq!(set(&mut replay, session, resource, pairs), Outcome::ConfigsAltered);
    }
    for max_part_bytes in [0, 40, 1 << 20] {
        let snapshot = replay.state.snapshot(max_part_bytes);
        let restored = State::restore(&snapshot.manifest, &snapshot.parts).unwrap();
        assert_eq!(restored.snapshot(max_part_bytes), snapshot);
        assert_eq!(restored.configs, replay.state.configs);
        for resource in [topic(), ConfigResource::Topic(topic_id(2)), CLUSTER, BROKER, OTHER] {
            assert_eq!(restored.configs_changed_at(resource), replay.state.configs_changed_at(resource));
        }
        assert_eq!(restored.topic_by_name("t"), replay.state.topic_by_name("t"));
    }
    // A State whose configs were never altered has the bytes that it had before there was AlterConfigs.
    let restored = State::restore(&unchanged.manifest, &unchanged.parts).unwrap();
    assert_eq!(restored.topic_by_id(topic_id(1)).unwrap().configs_changed_at, Position::new(0, 2));
    let empty = State::new(Incarnation(1)).snapshot(1 << 20);
    assert!(empty.parts.is_empty());
}
