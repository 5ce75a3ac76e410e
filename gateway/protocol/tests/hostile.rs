//! Lying lengths and counts, with the allocator counting: at most 16 × frame + 64 KiB, never a panic (I-09).
//!
//! One test only: the counters are of the whole process.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, missing_docs)]

use std::alloc::System;

use sluice_protocol::consumer_protocol::{ConsumerProtocolAssignment, ConsumerProtocolSubscription, MAX_VERSION};
use sluice_protocol::messages::{
    AlterPartitionReassignmentsRequest, CreatePartitionsRequest, CreateTopicsRequest, DeleteRecordsRequest,
    DescribeConfigsRequest, DescribeTopicPartitionsRequest, FindCoordinatorRequest, IncrementalAlterConfigsRequest,
    LeaveGroupRequest, MetadataRequest, OffsetCommitRequest, OffsetFetchRequest, alter_partition_reassignments,
    create_partitions, create_topics, delete_records, describe_configs, describe_topic_partitions,
    incremental_alter_configs, leave_group, metadata, offset_commit, offset_fetch,
};
use sluice_protocol::sample::{Sample, Source, Visitor, visit_all};
use sluice_protocol::{Bytes, DecodeError, KString, Message, Reader, Request, Writer};
use stats_alloc::{INSTRUMENTED_SYSTEM, Region, StatsAlloc};

#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

fn encode(message: &impl Message, version: i16) -> Bytes {
    let mut w = Writer::new();
    message.encode(&mut w, version).unwrap();
    w.finish().to_bytes()
}

#[derive(Default)]
struct Tally {
    frames: usize,
    refused: usize,
    /// Most bytes allocated beyond 16 × frame.
    worst: isize,
}

impl Tally {
    /// Decodes, and holds everything that was allocated on the way (not only what was kept) against the bound.
    fn decode<M: Message>(&mut self, bytes: Vec<u8>, version: i16) -> Result<M, DecodeError> {
        let len = bytes.len();
        let frame = Bytes::from(bytes);
        let region = Region::new(ALLOCATOR);
        let outcome = M::decode(&mut Reader::new(frame), version);
        let change = region.change();
        let allocated = change.bytes_allocated + change.bytes_reallocated.max(0).unsigned_abs();
        let bound = 16 * len + 64 * 1024;
        assert!(allocated <= bound, "{} v{version}: a frame of {len} took {allocated} bytes", M::NAME);
        self.frames += 1;
        self.refused += usize::from(outcome.is_err());
        self.worst = self.worst.max(isize::try_from(allocated).unwrap() - isize::try_from(16 * len).unwrap());
        outcome
    }

    /// Every offset of a sample is taken for a length or a count and replaced by lying ones.
    fn forge_lengths<M: Message>(&mut self, sample: &M, version: i16) {
        const LIES: [&[u8]; 12] = [
            &[0x7f, 0xff],
            &[0x80, 0x00],
            &[0xff, 0xff],
            &[0xff, 0xfe],
            &[0x7f, 0xff, 0xff, 0xff],
            &[0x80, 0x00, 0x00, 0x00],
            &[0xff, 0xff, 0xff, 0xff],
            &[0xff, 0xff, 0xff, 0xfe],
            &[0x00, 0x10, 0x00, 0x00],
            // As variable-length integers: 2^32 − 1, 2^31, one too long.
            &[0xff, 0xff, 0xff, 0xff, 0x0f],
            &[0x80, 0x80, 0x80, 0x80, 0x08],
            &[0xff, 0xff, 0xff, 0xff, 0xff, 0x01],
        ];
        let bytes = encode(sample, version);
        for at in 0..bytes.len() {
            for lie in LIES {
                // In place, and grown: a compact length was one byte.
                for old_len in [lie.len(), 1] {
                    let mut forged = bytes[..at].to_vec();
                    forged.extend_from_slice(lie);
                    forged.extend_from_slice(bytes.get(at + old_len..).unwrap_or_default());
                    let _ = self.decode::<M>(forged, version);
                }
            }
        }
    }

    /// Every offset of a sample is taken for a count that the bytes after it do cover, with elements as small as they get.
    fn forge_counts<M: Message>(&mut self, sample: &M, version: i16) {
        const FILL_LEN: usize = 12 * 1024;
        let bytes = encode(sample, version);
        for at in 0..bytes.len() {
            for fill in [0_u8, 1, 2] {
                for divisor in [1_u32, 3, 8] {
                    let count = u32::try_from(FILL_LEN).unwrap() / divisor;
                    let mut compact = Writer::new();
                    compact.put_uvarint(count);
                    for count in [&count.to_be_bytes()[..], &compact.finish().to_bytes()] {
                        let mut forged = bytes[..at].to_vec();
                        forged.extend_from_slice(count);
                        forged.resize(forged.len() + FILL_LEN, fill);
                        let _ = self.decode::<M>(forged, version);
                    }
                }
            }
        }
    }

    fn attack<M: Message + Sample>(&mut self, version: i16, boundary: bool) {
        let entropy: Vec<u8> = (0_u8..=255).map(|byte| byte.wrapping_mul(167).wrapping_add(13)).collect();
        self.forge_lengths(&M::sample(&mut Source::new(&entropy[..110]), version, false), version);
        if boundary {
            self.forge_counts(&M::sample(&mut Source::new(&entropy[40..80]), version, false), version);
        }
    }
}

impl Visitor for Tally {
    fn visit<R>(&mut self)
    where
        R: Request<Response: Sample> + Sample,
    {
        for version in R::MIN_VERSION..=R::MAX_VERSION {
            // The slow attack only where the layout changes most.
            let boundary = [R::MIN_VERSION, R::FLEXIBLE_FROM, R::MAX_VERSION].contains(&version);
            self.attack::<R>(version, boundary);
            self.attack::<R::Response>(version, boundary);
        }
    }
}

/// A count that fits in the bytes, of elements far smaller on the wire than in memory.
fn the_budget_refuses_what_the_count_alone_would_allow(tally: &mut Tally) {
    // 200,000 empty names: a byte each on the wire, 32 in memory.
    let mut bytes = vec![0, 0xc1, 0x9a, 0x0c];
    bytes.resize(200_000 + bytes.len(), 1);
    bytes.push(0);
    let outcome = tally.decode::<FindCoordinatorRequest>(bytes, 4);
    assert_eq!(outcome, Err(DecodeError::Budget));
    // As many names as any client has, of ordinary length, are no attack.
    let names = FindCoordinatorRequest {
        coordinator_keys: (0..100_000).map(|n| KString::from(format!("{n:04}"))).collect(),
        ..Default::default()
    };
    assert_eq!(tally.decode::<FindCoordinatorRequest>(encode(&names, 4).to_vec(), 4), Ok(names));
    let topics = MetadataRequest {
        topics: Some(
            (0..50_000)
                .map(|n| metadata::MetadataRequestTopic { name: Some(format!("{n:03}").into()), ..Default::default() })
                .collect(),
        ),
        ..Default::default()
    };
    for version in [1, 9, 12] {
        assert!(tally.decode::<MetadataRequest>(encode(&topics, version).to_vec(), version).is_ok());
    }
}

/// Requests as large as group clients and tools ever send them are no attack.
fn large_group_requests_are_decoded(tally: &mut Tally) {
    let partition = |index| offset_commit::OffsetCommitRequestPartition {
        partition_index: index,
        committed_metadata: None,
        ..Default::default()
    };
    let topic = |partitions| offset_commit::OffsetCommitRequestTopic { partitions, ..Default::default() };
    // Of one topic, and of topics with one partition each.
    let wide = OffsetCommitRequest { topics: vec![topic((0..100_000).map(partition).collect())], ..Default::default() };
    let topics = (0..100_000).map(|index| topic(vec![partition(index)])).collect();
    let deep = OffsetCommitRequest { topics, ..Default::default() };
    for version in [0, 2, 8, 10] {
        assert_eq!(tally.decode(encode(&wide, version).to_vec(), version).as_ref(), Ok(&wide));
        assert_eq!(tally.decode(encode(&deep, version).to_vec(), version).as_ref(), Ok(&deep));
    }
    let groups = (0..10_000).map(|n| offset_fetch::OffsetFetchRequestGroup {
        group_id: format!("group-{n}").into(),
        topics: None,
        ..Default::default()
    });
    let fetch = OffsetFetchRequest { groups: groups.collect(), ..Default::default() };
    let members = (0..10_000).map(|n| leave_group::MemberIdentity {
        group_instance_id: Some(format!("i-{n}").into()),
        ..Default::default()
    });
    let leave = LeaveGroupRequest { members: members.collect(), ..Default::default() };
    assert_eq!(tally.decode(encode(&fetch, 10).to_vec(), 10), Ok(fetch));
    assert_eq!(tally.decode(encode(&leave, 5).to_vec(), 5), Ok(leave));
}

fn round_trip<M: Message>(tally: &mut Tally, message: &M, version: i16) {
    assert_eq!(tally.decode::<M>(encode(message, version).to_vec(), version).as_ref(), Ok(message));
}

/// Requests that name 10,000 topics, as tools may send, are no attack: it is for the handlers to bound them.
fn large_admin_requests_are_decoded(tally: &mut Tally) {
    let name = |n: usize| KString::from(format!("topic-{n}"));
    let config = |key: &str| create_topics::CreatableTopicConfig { name: key.into(), value: Some("1".into()) };
    let create = CreateTopicsRequest {
        topics: (0..10_000)
            .map(|n| create_topics::CreatableTopic {
                name: name(n),
                assignments: vec![create_topics::CreatableReplicaAssignment {
                    partition_index: 0,
                    broker_ids: vec![1],
                }],
                configs: vec![config("retention.ms"), config("cleanup.policy")],
                ..Default::default()
            })
            .collect(),
        ..Default::default()
    };
    let grow = CreatePartitionsRequest {
        topics: (0..10_000)
            .map(|n| create_partitions::CreatePartitionsTopic {
                name: name(n),
                assignments: Some(vec![create_partitions::CreatePartitionsAssignment { broker_ids: vec![1] }]),
                ..Default::default()
            })
            .collect(),
        ..Default::default()
    };
    let partition = |partition_index| delete_records::DeleteRecordsPartition { partition_index, offset: -1 };
    let topic = delete_records::DeleteRecordsTopic { name: name(0), partitions: (0..100_000).map(partition).collect() };
    let delete = DeleteRecordsRequest { topics: vec![topic], ..Default::default() };
    let resource = |n| describe_configs::DescribeConfigsResource {
        resource_type: 2,
        resource_name: name(n),
        configuration_keys: None,
    };
    let describe = DescribeConfigsRequest { resources: (0..10_000).map(resource).collect(), ..Default::default() };
    let entry = incremental_alter_configs::AlterableConfig { name: "retention.ms".into(), ..Default::default() };
    let alter = |n| incremental_alter_configs::AlterConfigsResource {
        resource_type: 2,
        resource_name: name(n),
        configs: vec![entry.clone()],
    };
    let alter = IncrementalAlterConfigsRequest { resources: (0..10_000).map(alter).collect(), ..Default::default() };
    let topics = (0..10_000).map(|n| describe_topic_partitions::TopicRequest { name: name(n) }).collect();
    let pages = DescribeTopicPartitionsRequest { topics, ..Default::default() };
    let cancel =
        |partition_index| alter_partition_reassignments::ReassignablePartition { partition_index, replicas: None };
    let topic = alter_partition_reassignments::ReassignableTopic {
        name: name(0),
        partitions: (0..100_000).map(cancel).collect(),
    };
    let cancel = AlterPartitionReassignmentsRequest { topics: vec![topic], ..Default::default() };
    for version in [0, 7] {
        round_trip(tally, &create, version);
    }
    for version in [0, 3] {
        round_trip(tally, &grow, version);
    }
    for version in [0, 2] {
        round_trip(tally, &delete, version);
    }
    for version in [0, 4] {
        round_trip(tally, &describe, version);
    }
    for version in [0, 1] {
        round_trip(tally, &alter, version);
    }
    for version in [0, 1] {
        round_trip(tally, &cancel, version);
    }
    round_trip(tally, &pages, 0);
}

// Holds: I-09
#[test]
fn lying_lengths_and_counts_never_take_more_than_the_bound() {
    let mut tally = Tally::default();
    visit_all(&mut tally);
    for version in 0..=MAX_VERSION {
        tally.attack::<ConsumerProtocolSubscription>(version, true);
        tally.attack::<ConsumerProtocolAssignment>(version, true);
    }
    let Tally { frames, refused, worst } = tally;
    println!("{frames} forged frames, {refused} refused, worst {worst} bytes beyond 16 × frame");
    assert!(frames > 500_000, "only {frames} frames were tried");
    assert!(refused > frames / 3, "only {refused} of {frames} frames were refused");
    // The bound is approached, so the test would see it crossed.
    assert!(worst > 32 * 1024, "worst {worst}");
    the_budget_refuses_what_the_count_alone_would_allow(&mut Tally::default());
    large_group_requests_are_decoded(&mut Tally::default());
    large_admin_requests_are_decoded(&mut Tally::default());
}
