//! The bytes of group commands, of groups in a snapshot, and of outcomes under the hash.

use proptest::collection::vec;
use proptest::prelude::*;
use xxhash_rust::xxh3::xxh3_128;

use super::*;
use crate::wire::Writer;
use crate::{Entry, State};

fn entry(commands: Vec<GroupCommand>) -> Entry {
    let commands = commands.into_iter().map(Command::Group).collect();
    Entry { known: Position::ZERO, hash_at_known: 0, commands }
}

/// One command of each kind, with every option in both forms.
fn every_command() -> Vec<GroupCommand> {
    let mut s = Scenario::stable(&["m0", "m1"]);
    s.run_a(s.static_join("m2", "i2"));
    let object = Payload::Object { object: crate::fixture::object(3), start: 7, len: 9 };
    let sync = SyncGroup { assignments: None, ..s.sync("m1", &[]) };
    let mut commit = s.commit(s.by("m0"), &[(0, 5), (2, -1)]);
    commit.expires_at_ms = Some(77);
    let new = CommitOffsets { group: CommitGroup::New("n".to_owned()), ..s.commit(Committer::Simple, &[]) };
    let topics = vec![(topic_id(1), vec![(0, None), (1, Some(Position::new(0, 300)))])];
    let (group, last_change) = (GroupNumber(0), s.group().last_change);
    vec![
        JoinGroup { protocols: vec![("x".to_owned(), object)], ..s.rejoin("m2") }.into(),
        JoinGroup { seen: None, ..s.register("m9") }.into(),
        s.new_join("m9").into(),
        s.sync("m0", &[("m0", "a"), ("m1", "")]).into(),
        sync.into(),
        TakeOver { group, member: s.seen("m1") }.into(),
        s.leave(&["m0", "m1"]).into(),
        s.expire("m1").into(),
        s.completion().into(),
        commit.into(),
        new.into(),
        DeleteOffsets { group, last_change, topics, delete_empty_group: true }.into(),
        DeleteGroup { group }.into(),
    ]
}

#[test]
fn every_command_round_trips() {
    let entry = entry(every_command());
    assert_eq!(Entry::decode(&entry.encode()), Ok(entry));
}

// The format of feature level 1, as a fixture: what is in a log today is read for ever.
#[test]
fn the_bytes_of_group_commands_are_fixed() {
    let bytes = entry(every_command()).encode();
    assert_eq!(format!("{:032x}", xxh3_128(&bytes)), "e60f68292cbf6beb5906104888b0d1bb");
}

// Holds: I-09 (a payload owns its bytes: a member does not keep the entry's buffer alive)
#[test]
fn payloads_are_copied_out_of_the_entry() {
    let bytes = entry(every_command()).encode();
    let range = bytes.as_ptr_range();
    for command in Entry::decode(&bytes).unwrap().commands {
        if let Command::Group(GroupCommand::Sync(SyncGroup { assignments: Some(assignments), .. })) = command {
            for (_, assignment) in assignments {
                let Payload::Inline(payload) = assignment else { panic!("inline") };
                assert!(!range.contains(&payload.as_ptr()) || payload.is_empty());
            }
        }
    }
}

// A commit of 12 partitions by name of the group's number: small enough that several share an append.
#[test]
fn a_typical_commit_is_small() {
    let s = Scenario::stable(&["m0"]);
    let mut commit = s.commit(s.by("m0"), &[]);
    commit.committed_at_ms = 1_790_000_000_000;
    let offset = |partition| CommitOffset {
        partition,
        offset: 5_000_000_000 + i64::from(partition),
        leader_epoch: 0,
        metadata: String::new(),
    };
    commit.topics = vec![(topic_id(1), (0..12).map(offset).collect())];
    let bytes = entry(vec![commit.into()]).encode();
    assert!(bytes.len() <= 160, "{}", bytes.len());
}

/// A State with everything that a snapshot of groups can hold.
fn full() -> State {
    let mut s = Scenario::stable(&["m0", "m1"]);
    s.run_b(s.static_join("m2", "i2"));
    s.run_b(s.register("m3"));
    s.run_b(TakeOver { group: GroupNumber(0), member: s.seen("m0") });
    s.run_a(CommitOffsets { expires_at_ms: Some(5), ..s.commit(s.by("m0"), &[(0, 4), (1, 5)]) });
    s.run_a(JoinGroup { group_id: "initial".to_owned(), seen: None, initial_delay_ms: 3, ..s.new_join("n0") });
    let simple =
        CommitOffsets { group: CommitGroup::New("simple".to_owned()), ..s.commit(Committer::Simple, &[(2, 9)]) };
    s.run_a(simple);
    s.replay.state
}

fn restored(state: &State, max_part_bytes: usize) -> State {
    let snapshot = state.snapshot(max_part_bytes);
    let restored = State::restore(&snapshot.manifest, &snapshot.parts).unwrap();
    assert_eq!(restored.snapshot(max_part_bytes), snapshot);
    restored
}

// Holds: L10, I-12
#[test]
fn groups_in_a_snapshot_round_trip_with_their_indexes() {
    let state = full();
    for max_part_bytes in [0, 100, 1 << 20] {
        assert_eq!(restored(&state, max_part_bytes).groups, state.groups);
    }
    let (mut a, mut b) = (state.clone(), restored(&state, 50));
    let session = a.sessions().next().unwrap();
    let identity = Some(crate::Identity { session: session.id, sequence: session.last_sequence + 1 });
    let entry = entry(every_command());
    let position = a.known().next();
    assert_eq!(a.apply(position, identity, Some(&entry)), b.apply(position, identity, Some(&entry)));
    assert_eq!(a.hash(), b.hash());
}

// The number of a deleted group is not given again, snapshot or not.
#[test]
fn the_counter_of_groups_outlives_its_groups() {
    let mut s = Scenario::new();
    s.run_a(s.commit(Committer::Simple, &[(0, 1)]));
    s.run_a(DeleteGroup { group: GroupNumber(0) });
    let state = restored(&s.replay.state, 50);
    assert_eq!((state.group_count(), state.groups.next_group), (0, 1));
}

// Holds: I-12, L9 (every build of feature level 1 has this hash after this log)
#[test]
fn the_hash_of_a_fixed_log_of_groups_is_fixed() {
    assert_eq!(format!("{:032x}", full().hash()), "d332b1a14fe6c53628cdf9ed0ec22f58");
}

// The format of today, as a fixture: what is in a store is read for ever.
#[test]
fn the_bytes_of_groups_in_a_snapshot_are_fixed() {
    let snapshot = full().snapshot(1 << 20);
    assert_eq!(format!("{:032x}", xxh3_128(&snapshot.parts[0])), "707c33b9947193aa7367db8dc2bd733d");
}

// Holds: I-12 (outcomes are hashed alike on every build of one level)
#[test]
fn the_bytes_of_group_outcomes_are_fixed() {
    use GroupRefusal as R;
    let joined = |joined| GroupOutcome::Joined { group: GroupNumber(1), member: MemberNumber(2), joined };
    let reasons =
        [CommitRefusal::Overtaken { stored: 7 }, CommitRefusal::UnknownPartition, CommitRefusal::LimitReached];
    let exceptions = reasons.map(|reason| CommitException { index: 300, reason });
    let mut outcomes = vec![
        joined(JoinOutcome::Registered),
        joined(JoinOutcome::Waiting { generation: 5 }),
        joined(JoinOutcome::Current { replaced: true }),
        joined(JoinOutcome::Current { replaced: false }),
        GroupOutcome::Synced,
        GroupOutcome::TookOver,
        GroupOutcome::Left(vec![true, false]),
        GroupOutcome::MemberExpired,
        GroupOutcome::PhaseCompleted,
        GroupOutcome::Committed(exceptions.to_vec()),
        GroupOutcome::OffsetsDeleted { count: 2, group_deleted: true },
        GroupOutcome::GroupDeleted,
        GroupOutcome::Mismatch,
    ];
    let refusals =
        [R::GroupNotFound, R::UnknownMember, R::FencedInstance, R::IllegalGeneration, R::RebalanceInProgress];
    let more = [R::InconsistentProtocol, R::GroupFull, R::NotEmpty, R::LimitReached, R::Malformed];
    outcomes.extend(refusals.into_iter().chain(more).map(GroupOutcome::Refused));
    let mut writer = Writer::default();
    let mut seen = std::collections::BTreeSet::new();
    for outcome in outcomes.into_iter().map(Outcome::Group).chain([Outcome::TopicNotFound]) {
        let start = writer.len();
        outcome.write(&mut writer);
        assert!(seen.insert(writer.as_slice()[start..].to_vec()), "{outcome:?} looks like another");
    }
    assert_eq!(format!("{:032x}", xxh3_128(writer.as_slice())), "5f8c67435d72e2ec8143420cc29a83d3");
}

proptest! {
    #![proptest_config(crate::simulation::config(1_000))]

    // Holds: L11 (whatever can be sealed can be decoded by all), I-09
    #[test]
    fn any_group_command_round_trips_and_damage_never_panics(
        command in any_group_command(), at: prop::sample::Index, with: u8,
    ) {
        let entry = entry(vec![command]);
        let bytes = entry.encode();
        prop_assert_eq!(Entry::decode(&bytes), Ok(entry));
        let mut damaged = bytes.to_vec();
        damaged[at.index(bytes.len())] = with;
        let _ = Entry::decode(&damaged.into());
        prop_assert!(Entry::decode(&bytes.slice(..bytes.len() - 1)).is_err());
    }

    // Holds: L11 (apply is total: commands of any content, none changes anything it refuses)
    #[test]
    fn commands_of_any_content_are_judged(commands in vec((any::<bool>(), any_group_command()), 0..30)) {
        let mut s = Scenario::stable(&["a", "b"]);
        for (through_a, command) in commands {
            let session = if through_a { s.a } else { s.b };
            s.send(session, command);
        }
        restored(&s.replay.state, 300);
    }
}
