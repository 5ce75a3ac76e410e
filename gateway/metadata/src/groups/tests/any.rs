//! Strategies for group commands of any content: sensible, refused and absurd ones.

use bytes::Bytes;
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;

use crate::fixture::topic_id;
use crate::groups::*;
use crate::{ObjectId, Position};

fn any_group() -> impl Strategy<Value = GroupNumber> {
    prop_oneof![8 => 0..3_u64, 1 => any::<u64>()].prop_map(GroupNumber)
}

fn any_seen() -> impl Strategy<Value = SeenMember> {
    (any_member(), prop_oneof![8 => 0..3_u64, 1 => any::<u64>()])
        .prop_map(|(member, watch_epoch)| SeenMember { member, watch_epoch })
}

fn any_member() -> impl Strategy<Value = MemberNumber> {
    prop_oneof![8 => 0..4_u64, 1 => any::<u64>()].prop_map(MemberNumber)
}

fn any_position() -> impl Strategy<Value = Position> {
    prop_oneof![0..40_u64, any::<u64>()].prop_map(Position::from_raw)
}

fn any_payload() -> impl Strategy<Value = Payload> {
    let inline = vec(any::<u8>(), 0..8).prop_map(|bytes| Payload::Inline(Bytes::from(bytes)));
    let object = any::<(u64, u64, u64, u32)>().prop_map(|(session, nonce, start, len)| {
        let object = ObjectId { session: SessionId(Position::from_raw(session)), nonce };
        Payload::Object { object, start, len }
    });
    prop_oneof![6 => inline, 1 => object]
}

fn any_joiner() -> impl Strategy<Value = Joiner> {
    let new =
        ("[a-d]{0,2}", any::<bool>()).prop_map(|(member_id, register_only)| Joiner::New { member_id, register_only });
    prop_oneof![2 => new, 3 => any_seen().prop_map(Joiner::Known)]
}

fn any_join() -> impl Strategy<Value = JoinGroup> {
    let seen = option::of((any_group(), prop_oneof![8 => 0..3, 1 => any::<i32>()]));
    let holder = option::of((0_u64..4).prop_map(MemberNumber));
    let who = ("[gh]{0,1}", seen, any_joiner(), option::of("[xy]"), ".{0,4}", ".{0,4}", holder);
    let timeouts = (any::<i32>(), any::<i32>(), prop_oneof![Just(0_u32), any::<u32>()], any::<u32>(), any::<i64>());
    let protocols = vec(("[rs]{0,1}", any_payload()), 0..3);
    (who, timeouts, "c?", protocols).prop_map(|(who, timeouts, protocol_type, protocols)| JoinGroup {
        group_id: who.0,
        seen: who.1,
        joiner: who.2,
        seen_instance: who.6,
        instance_id: who.3,
        client_id: who.4,
        client_host: who.5,
        session_timeout_ms: timeouts.0,
        rebalance_timeout_ms: timeouts.1,
        protocol_type,
        protocols,
        initial_delay_ms: timeouts.2,
        max_size: timeouts.3,
        stamp_ms: timeouts.4,
    })
}

fn any_phase() -> impl Strategy<Value = GroupPhase> {
    prop::sample::select(vec![
        GroupPhase::Empty,
        GroupPhase::PreparingRebalance,
        GroupPhase::CompletingRebalance,
        GroupPhase::Stable,
    ])
}

fn any_offset() -> impl Strategy<Value = CommitOffset> {
    let partition = prop_oneof![8 => -1..4_i32, 1 => any::<i32>()];
    (partition, any::<i64>(), any::<i32>(), ".{0,3}").prop_map(|(partition, offset, leader_epoch, metadata)| {
        CommitOffset { partition, offset, leader_epoch, metadata }
    })
}

fn any_commit() -> impl Strategy<Value = CommitOffsets> {
    let group = prop_oneof![any_group().prop_map(CommitGroup::Known), "[gh]".prop_map(CommitGroup::New)];
    let committer = prop_oneof![
        Just(Committer::Simple),
        (any_member(), 0..3).prop_map(|(member, generation)| Committer::Member { member, generation })
    ];
    let topics = vec(((0..3_u128).prop_map(topic_id), vec(any_offset(), 0..4)), 0..3);
    let when = (any_position(), any::<bool>(), any::<i64>(), any::<Option<i64>>());
    (group, committer, when, topics).prop_map(|(group, committer, when, topics)| CommitOffsets {
        group,
        committer,
        known: when.0,
        exclusive: when.1,
        committed_at_ms: when.2,
        expires_at_ms: when.3,
        topics,
    })
}

fn any_delete_offsets() -> impl Strategy<Value = DeleteOffsets> {
    let partitions = vec((-1..4_i32, option::of(any_position())), 0..4);
    let topics = vec(((0..3_u128).prop_map(topic_id), partitions), 0..3);
    (any_group(), any_position(), topics, any::<bool>()).prop_map(|(group, last_change, topics, delete_empty_group)| {
        DeleteOffsets { group, last_change, topics, delete_empty_group }
    })
}

/// Group commands of every kind.
pub(crate) fn any_group_command() -> impl Strategy<Value = GroupCommand> {
    let assignments = option::of(vec((any_member(), any_payload()), 0..3));
    let sync = (any_group(), any_seen(), -1..3, assignments, any::<i64>()).prop_map(
        |(group, member, generation, assignments, stamp_ms)| {
            GroupCommand::Sync(SyncGroup { group, member, generation, assignments, stamp_ms })
        },
    );
    let take_over =
        (any_group(), any_seen()).prop_map(|(group, member)| GroupCommand::TakeOver(TakeOver { group, member }));
    let leave = (any_group(), vec(any_member(), 0..3), any::<i64>())
        .prop_map(|(group, members, stamp_ms)| GroupCommand::Leave(LeaveGroup { group, members, stamp_ms }));
    let expire =
        (any_group(), any_seen(), any_position(), any::<i64>()).prop_map(|(group, member, last_activity, stamp_ms)| {
            GroupCommand::ExpireMember(ExpireMember { group, member, last_activity, stamp_ms })
        });
    let complete = (any_group(), any_phase(), -1..3, any_position(), any::<i64>()).prop_map(
        |(group, phase, generation, last_change, stamp_ms)| {
            GroupCommand::CompletePhase(CompletePhase { group, phase, generation, last_change, stamp_ms })
        },
    );
    let delete = any_group().prop_map(|group| GroupCommand::DeleteGroup(DeleteGroup { group }));
    prop_oneof![
        5 => any_join().prop_map(GroupCommand::Join),
        2 => sync,
        1 => take_over,
        1 => leave,
        1 => expire,
        1 => complete,
        3 => any_commit().prop_map(GroupCommand::CommitOffsets),
        1 => any_delete_offsets().prop_map(GroupCommand::DeleteOffsets),
        1 => delete,
    ]
}
