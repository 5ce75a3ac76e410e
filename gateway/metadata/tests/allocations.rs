//! What decoding allocates, counted: a small multiple of the input, whatever the input claims (I-09).

#![allow(clippy::unwrap_used, clippy::indexing_slicing, missing_docs)]

use std::alloc::System;

use bytes::Bytes;
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::test_runner::{Config, RngSeed, TestRunner};
use sluice_metadata::{
    Command, CommitGroup, CommitOffset, CommitOffsets, CommittedRun, Committer, ConfigResource, DeleteOffsets,
    DeleteRecordsRun, Entry, GroupCommand, GroupNumber, Incarnation, LeaveGroup, MemberNumber, ObjectId, Payload,
    Position, SessionId, State, SyncGroup,
};
use stats_alloc::{INSTRUMENTED_SYSTEM, Region, StatsAlloc};
use xxhash_rust::xxh3::xxh3_128;

#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

/// A command takes about 110 times the bytes of the shortest one on the wire, and a growing vector twice that.
const FACTOR: usize = 256;

fn bytes_allocated_by<T>(decode: impl FnOnce() -> T) -> (T, usize) {
    let region = Region::new(ALLOCATOR);
    let decoded = decode();
    (decoded, region.change().bytes_allocated)
}

fn head() -> Vec<u8> {
    [&[1_u8, 0][..], &[0; 16]].concat()
}

fn a_forged_count_allocates_nothing() {
    let huge = [0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01];
    let object: &[u8] = &[1, 4, 1, 0, 0, 0, 0, 0, 0, 0, 0, 10];
    let create: &[u8] = &[1, 3, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0];
    let alter: &[u8] = &[1, 16, 2, 0];
    let delete: &[u8] = &[1, 18];
    for before in [&[][..], object, create, alter, delete] {
        let bytes = Bytes::from([&head()[..], before, &huge].concat());
        let (decoded, allocated) = bytes_allocated_by(|| Entry::decode(&bytes));
        assert!(decoded.is_err());
        assert!(allocated <= 4_096, "{allocated} bytes for {before:?}");
    }
}

fn the_densest_entries_allocate_a_small_multiple_of_their_bytes() {
    let object = ObjectId { session: SessionId(Position::ZERO), nonce: 0 };
    let run = CommittedRun { topic_id: uuid::Uuid::nil(), partition: 0, start: 0, batches: Vec::new() };
    let configs = vec![(String::new(), String::new()); 50_000];
    let topic_id = uuid::Uuid::nil();
    let deletion = DeleteRecordsRun { topic_id, partition: 0, before_offset: None };
    for commands in [
        vec![Command::AllocateProducerIds { count: 0 }; 50_000],
        vec![Command::Produce { object, object_bytes: 0, runs: vec![run; 50_000] }],
        vec![Command::CreateTopic {
            topic_id,
            name: String::new(),
            partitions: 0,
            configs: configs.clone(),
            created_at_ms: 0,
        }],
        dense_group_commands(),
        vec![Command::AlterConfigs {
            resource: ConfigResource::Cluster,
            seen: Position::ZERO,
            configs: configs.clone(),
        }],
        vec![Command::DeleteRecords { runs: vec![deletion; 50_000] }],
    ] {
        let bytes = Entry { known: Position::ZERO, hash_at_known: 0, commands }.encode();
        let (decoded, allocated) = bytes_allocated_by(|| Entry::decode(&bytes));
        assert!(decoded.is_ok());
        assert!(allocated <= FACTOR * bytes.len(), "{allocated} for {} bytes", bytes.len());
    }
}

/// Lists of the shortest elements there are.
fn dense_group_commands() -> Vec<Command> {
    let (group, stamp_ms) = (GroupNumber(0), 0);
    let members = vec![MemberNumber(0); 50_000];
    let assignments = Some(vec![(MemberNumber(0), Payload::Inline(Bytes::new())); 50_000]);
    let member = sluice_metadata::SeenMember { member: MemberNumber(0), watch_epoch: 0 };
    let offset = CommitOffset { partition: 0, offset: 0, leader_epoch: 0, metadata: String::new() };
    let commit = CommitOffsets {
        group: CommitGroup::Known(group),
        committer: Committer::Simple,
        known: Position::ZERO,
        exclusive: false,
        committed_at_ms: 0,
        expires_at_ms: None,
        topics: vec![(uuid::Uuid::nil(), vec![offset; 50_000])],
    };
    let topics = vec![(uuid::Uuid::nil(), vec![(0, None); 50_000])];
    let delete = DeleteOffsets { group, last_change: Position::ZERO, topics, delete_empty_group: false };
    [
        GroupCommand::Leave(LeaveGroup { group, members, stamp_ms }),
        GroupCommand::Sync(SyncGroup { group, member, generation: 0, assignments, stamp_ms }),
        GroupCommand::CommitOffsets(commit),
        GroupCommand::DeleteOffsets(delete),
    ]
    .map(Command::Group)
    .to_vec()
}

fn random_bytes_allocate_a_small_multiple_of_their_length() {
    let config =
        Config { cases: 2_000, failure_persistence: None, rng_seed: RngSeed::Fixed(20_260), ..Config::default() };
    let checked = TestRunner::new(config).run(&vec(any::<u8>(), 0..400), |bytes| {
        for tag in [4, 6, 7, 9, 12, 13] {
            let entry = Bytes::from([&head()[..], &[3, tag], &bytes].concat());
            let (_, allocated) = bytes_allocated_by(|| Entry::decode(&entry));
            prop_assert!(allocated <= FACTOR * entry.len() + 4_096, "{} for {}", allocated, entry.len());
        }
        let manifest = State::new(Incarnation(0)).snapshot(1).manifest;
        // Magic and format, then anything, under the hash that a manifest ends with.
        let body = [&manifest[..9], &bytes].concat();
        let manifest = Bytes::from([&body[..], &xxh3_128(&body).to_le_bytes()].concat());
        let (_, allocated) = bytes_allocated_by(|| State::restore(&manifest, &[]).is_ok());
        prop_assert!(allocated <= FACTOR * manifest.len() + 4_096, "{} for {}", allocated, manifest.len());
        Ok(())
    });
    checked.unwrap();
}

// Holds: I-09. One test, because the counters are those of the whole process.
#[test]
fn decoding_allocates_a_small_multiple_of_its_input_whatever_that_claims() {
    a_forged_count_allocates_nothing();
    the_densest_entries_allocate_a_small_multiple_of_their_bytes();
    random_bytes_allocate_a_small_multiple_of_their_length();
}
