//! The bytes of the groups domain's commands.
//!
//! Layout: numbers of groups, members and watch epochs, positions and sessions are varints; generations, partitions,
//! offsets, timeouts and stamps are zigzag; texts are strings; an option is a flag (u8, 0 or 1) and the value; a list is
//! its length (varint) and its elements; a payload is 0 (u8), its length (varint) and bytes, or 1, the object (session
//! varint, nonce 8 bytes), start and length (varints). The fields of a command follow its tag in the order in which the
//! functions below write them.
//!
//! Promises: what is read owns its bytes: it never pins the buffer of the entry.

use bytes::Bytes;

use super::command::{
    CommitGroup, CommitOffset, CommitOffsets, Committer, CompletePhase, DeleteGroup, DeleteOffsets, ExpireMember,
    GroupCommand, GroupNumber, JoinGroup, Joiner, LeaveGroup, MemberNumber, Payload, SeenMember, SyncGroup, TakeOver,
};
use super::group::GroupPhase;
use crate::wire::{DecodeError, Reader, Writer};

const JOIN: u8 = 6;
const SYNC: u8 = 7;
const TAKE_OVER: u8 = 8;
const LEAVE: u8 = 9;
const EXPIRE_MEMBER: u8 = 10;
const COMPLETE_PHASE: u8 = 11;
const COMMIT_OFFSETS: u8 = 12;
const DELETE_OFFSETS: u8 = 13;
const DELETE_GROUP: u8 = 14;

const INLINE: u8 = 0;
const OBJECT: u8 = 1;
/// The shortest payload: inline, empty.
const PAYLOAD_BYTES_MIN: usize = 2;
/// The shortest protocol: no name and an empty payload.
const PROTOCOL_BYTES_MIN: usize = 1 + PAYLOAD_BYTES_MIN;
/// The shortest assignment: a member and an empty payload.
const ASSIGNMENT_BYTES_MIN: usize = 1 + PAYLOAD_BYTES_MIN;
/// The shortest topic of a commit or deletion: its id and no partitions.
const TOPIC_BYTES_MIN: usize = 17;
/// The shortest offset: partition, offset, epoch and no text.
const OFFSET_BYTES_MIN: usize = 4;
/// The shortest deletion: a partition and no position.
const DELETION_BYTES_MIN: usize = 2;

type Read<T> = Result<T, DecodeError>;

pub(crate) fn write_command(writer: &mut Writer, command: &GroupCommand) {
    match command {
        GroupCommand::Join(join) => write_join(writer, join),
        GroupCommand::Sync(sync) => write_sync(writer, sync),
        GroupCommand::TakeOver(take_over) => {
            writer.u8(TAKE_OVER);
            write_group(writer, take_over.group);
            write_seen(writer, take_over.member);
        }
        GroupCommand::Leave(leave) => write_leave(writer, leave),
        GroupCommand::ExpireMember(expire) => {
            writer.u8(EXPIRE_MEMBER);
            write_group(writer, expire.group);
            write_seen(writer, expire.member);
            writer.position(expire.last_activity);
            writer.zigzag(expire.stamp_ms);
        }
        GroupCommand::CompletePhase(complete) => {
            writer.u8(COMPLETE_PHASE);
            write_group(writer, complete.group);
            writer.u8(phase_tag(complete.phase));
            writer.zigzag(i64::from(complete.generation));
            writer.position(complete.last_change);
            writer.zigzag(complete.stamp_ms);
        }
        GroupCommand::CommitOffsets(commit) => write_commit(writer, commit),
        GroupCommand::DeleteOffsets(delete) => write_delete_offsets(writer, delete),
        GroupCommand::DeleteGroup(delete) => {
            writer.u8(DELETE_GROUP);
            write_group(writer, delete.group);
        }
    }
}

/// The command of this tag; `UnknownCommand` when it is none of the groups domain (L11).
pub(crate) fn read_command(tag: u8, reader: &mut Reader<'_>) -> Read<GroupCommand> {
    Ok(match tag {
        JOIN => GroupCommand::Join(read_join(reader)?),
        SYNC => GroupCommand::Sync(read_sync(reader)?),
        TAKE_OVER => GroupCommand::TakeOver(TakeOver { group: read_group(reader)?, member: read_seen(reader)? }),
        LEAVE => GroupCommand::Leave(read_leave(reader)?),
        EXPIRE_MEMBER => GroupCommand::ExpireMember(ExpireMember {
            group: read_group(reader)?,
            member: read_seen(reader)?,
            last_activity: reader.position()?,
            stamp_ms: reader.zigzag()?,
        }),
        COMPLETE_PHASE => GroupCommand::CompletePhase(CompletePhase {
            group: read_group(reader)?,
            phase: read_phase(reader)?,
            generation: reader.zigzag_i32()?,
            last_change: reader.position()?,
            stamp_ms: reader.zigzag()?,
        }),
        COMMIT_OFFSETS => GroupCommand::CommitOffsets(read_commit(reader)?),
        DELETE_OFFSETS => GroupCommand::DeleteOffsets(read_delete_offsets(reader)?),
        DELETE_GROUP => GroupCommand::DeleteGroup(DeleteGroup { group: read_group(reader)? }),
        unknown => return Err(DecodeError::UnknownCommand(unknown)),
    })
}

fn write_join(writer: &mut Writer, join: &JoinGroup) {
    writer.u8(JOIN);
    writer.string(&join.group_id);
    write_option(writer, join.seen.as_ref(), |writer, (group, generation)| {
        write_group(writer, *group);
        writer.zigzag(i64::from(*generation));
    });
    match &join.joiner {
        Joiner::New { member_id, register_only } => {
            writer.u8(if *register_only { 1 } else { 0 });
            writer.string(member_id);
        }
        Joiner::Known(seen) => {
            writer.u8(2);
            write_seen(writer, *seen);
        }
    }
    write_option(writer, join.seen_instance.as_ref(), |writer, member| writer.varint(member.0));
    write_option(writer, join.instance_id.as_ref(), |writer, id| writer.string(id));
    writer.string(&join.client_id);
    writer.string(&join.client_host);
    writer.zigzag(i64::from(join.session_timeout_ms));
    writer.zigzag(i64::from(join.rebalance_timeout_ms));
    writer.string(&join.protocol_type);
    writer.count(join.protocols.len());
    for (name, metadata) in &join.protocols {
        writer.string(name);
        write_payload(writer, metadata);
    }
    writer.varint(u64::from(join.initial_delay_ms));
    writer.varint(u64::from(join.max_size));
    writer.zigzag(join.stamp_ms);
}

fn read_join(reader: &mut Reader<'_>) -> Read<JoinGroup> {
    Ok(JoinGroup {
        group_id: reader.string()?.to_owned(),
        seen: read_option(reader, |reader| Ok((read_group(reader)?, reader.zigzag_i32()?)))?,
        joiner: read_joiner(reader)?,
        seen_instance: read_option(reader, read_member)?,
        instance_id: read_option(reader, |reader| Ok(reader.string()?.to_owned()))?,
        client_id: reader.string()?.to_owned(),
        client_host: reader.string()?.to_owned(),
        session_timeout_ms: reader.zigzag_i32()?,
        rebalance_timeout_ms: reader.zigzag_i32()?,
        protocol_type: reader.string()?.to_owned(),
        protocols: read_list(reader, PROTOCOL_BYTES_MIN, |reader| {
            Ok((reader.string()?.to_owned(), read_payload(reader)?))
        })?,
        initial_delay_ms: reader.varint_u32()?,
        max_size: reader.varint_u32()?,
        stamp_ms: reader.zigzag()?,
    })
}

fn read_joiner(reader: &mut Reader<'_>) -> Read<Joiner> {
    match reader.u8()? {
        0 => Ok(Joiner::New { member_id: reader.string()?.to_owned(), register_only: false }),
        1 => Ok(Joiner::New { member_id: reader.string()?.to_owned(), register_only: true }),
        2 => Ok(Joiner::Known(read_seen(reader)?)),
        unknown => Err(DecodeError::UnknownTag(unknown)),
    }
}

fn write_sync(writer: &mut Writer, sync: &SyncGroup) {
    writer.u8(SYNC);
    write_group(writer, sync.group);
    write_seen(writer, sync.member);
    writer.zigzag(i64::from(sync.generation));
    write_option(writer, sync.assignments.as_ref(), |writer, assignments| {
        writer.count(assignments.len());
        for (member, assignment) in assignments {
            writer.varint(member.0);
            write_payload(writer, assignment);
        }
    });
    writer.zigzag(sync.stamp_ms);
}

fn read_sync(reader: &mut Reader<'_>) -> Read<SyncGroup> {
    Ok(SyncGroup {
        group: read_group(reader)?,
        member: read_seen(reader)?,
        generation: reader.zigzag_i32()?,
        assignments: read_option(reader, |reader| {
            read_list(reader, ASSIGNMENT_BYTES_MIN, |reader| Ok((read_member(reader)?, read_payload(reader)?)))
        })?,
        stamp_ms: reader.zigzag()?,
    })
}

fn write_leave(writer: &mut Writer, leave: &LeaveGroup) {
    writer.u8(LEAVE);
    write_group(writer, leave.group);
    writer.count(leave.members.len());
    for member in &leave.members {
        writer.varint(member.0);
    }
    writer.zigzag(leave.stamp_ms);
}

fn read_leave(reader: &mut Reader<'_>) -> Read<LeaveGroup> {
    Ok(LeaveGroup {
        group: read_group(reader)?,
        members: read_list(reader, 1, read_member)?,
        stamp_ms: reader.zigzag()?,
    })
}

fn write_commit(writer: &mut Writer, commit: &CommitOffsets) {
    writer.u8(COMMIT_OFFSETS);
    match &commit.group {
        CommitGroup::Known(group) => {
            writer.u8(0);
            write_group(writer, *group);
        }
        CommitGroup::New(id) => {
            writer.u8(1);
            writer.string(id);
        }
    }
    match commit.committer {
        Committer::Simple => writer.u8(0),
        Committer::Member { member, generation } => {
            writer.u8(1);
            writer.varint(member.0);
            writer.zigzag(i64::from(generation));
        }
    }
    writer.position(commit.known);
    writer.u8(u8::from(commit.exclusive));
    writer.zigzag(commit.committed_at_ms);
    write_option(writer, commit.expires_at_ms.as_ref(), |writer, stamp| writer.zigzag(*stamp));
    writer.count(commit.topics.len());
    for (topic_id, offsets) in &commit.topics {
        writer.uuid(*topic_id);
        writer.count(offsets.len());
        for offset in offsets {
            writer.zigzag(i64::from(offset.partition));
            writer.zigzag(offset.offset);
            writer.zigzag(i64::from(offset.leader_epoch));
            writer.string(&offset.metadata);
        }
    }
}

fn read_commit(reader: &mut Reader<'_>) -> Read<CommitOffsets> {
    Ok(CommitOffsets {
        group: match reader.u8()? {
            0 => CommitGroup::Known(read_group(reader)?),
            1 => CommitGroup::New(reader.string()?.to_owned()),
            unknown => return Err(DecodeError::UnknownTag(unknown)),
        },
        committer: match reader.u8()? {
            0 => Committer::Simple,
            1 => Committer::Member { member: read_member(reader)?, generation: reader.zigzag_i32()? },
            unknown => return Err(DecodeError::UnknownTag(unknown)),
        },
        known: reader.position()?,
        exclusive: read_flag(reader)?,
        committed_at_ms: reader.zigzag()?,
        expires_at_ms: read_option(reader, |reader| reader.zigzag())?,
        topics: read_list(reader, TOPIC_BYTES_MIN, |reader| {
            Ok((reader.uuid()?, read_list(reader, OFFSET_BYTES_MIN, read_offset)?))
        })?,
    })
}

fn read_offset(reader: &mut Reader<'_>) -> Read<CommitOffset> {
    Ok(CommitOffset {
        partition: reader.zigzag_i32()?,
        offset: reader.zigzag()?,
        leader_epoch: reader.zigzag_i32()?,
        metadata: reader.string()?.to_owned(),
    })
}

fn write_delete_offsets(writer: &mut Writer, delete: &DeleteOffsets) {
    writer.u8(DELETE_OFFSETS);
    write_group(writer, delete.group);
    writer.position(delete.last_change);
    writer.count(delete.topics.len());
    for (topic_id, partitions) in &delete.topics {
        writer.uuid(*topic_id);
        writer.count(partitions.len());
        for (partition, expired) in partitions {
            writer.zigzag(i64::from(*partition));
            write_option(writer, expired.as_ref(), |writer, position| writer.position(*position));
        }
    }
    writer.u8(u8::from(delete.delete_empty_group));
}

fn read_delete_offsets(reader: &mut Reader<'_>) -> Read<DeleteOffsets> {
    Ok(DeleteOffsets {
        group: read_group(reader)?,
        last_change: reader.position()?,
        topics: read_list(reader, TOPIC_BYTES_MIN, |reader| {
            let topic_id = reader.uuid()?;
            let partitions = read_list(reader, DELETION_BYTES_MIN, |reader| {
                Ok((reader.zigzag_i32()?, read_option(reader, |reader| reader.position())?))
            })?;
            Ok((topic_id, partitions))
        })?,
        delete_empty_group: read_flag(reader)?,
    })
}

pub(super) fn write_group(writer: &mut Writer, group: GroupNumber) {
    writer.varint(group.0);
}

pub(super) fn read_group(reader: &mut Reader<'_>) -> Read<GroupNumber> {
    Ok(GroupNumber(reader.varint()?))
}

pub(super) fn read_member(reader: &mut Reader<'_>) -> Read<MemberNumber> {
    Ok(MemberNumber(reader.varint()?))
}

fn write_seen(writer: &mut Writer, seen: SeenMember) {
    writer.varint(seen.member.0);
    writer.varint(seen.watch_epoch);
}

fn read_seen(reader: &mut Reader<'_>) -> Read<SeenMember> {
    Ok(SeenMember { member: read_member(reader)?, watch_epoch: reader.varint()? })
}

pub(super) fn phase_tag(phase: GroupPhase) -> u8 {
    match phase {
        GroupPhase::Empty => 0,
        GroupPhase::PreparingRebalance => 1,
        GroupPhase::CompletingRebalance => 2,
        GroupPhase::Stable => 3,
    }
}

pub(super) fn read_phase(reader: &mut Reader<'_>) -> Read<GroupPhase> {
    match reader.u8()? {
        0 => Ok(GroupPhase::Empty),
        1 => Ok(GroupPhase::PreparingRebalance),
        2 => Ok(GroupPhase::CompletingRebalance),
        3 => Ok(GroupPhase::Stable),
        unknown => Err(DecodeError::UnknownTag(unknown)),
    }
}

pub(super) fn write_payload(writer: &mut Writer, payload: &Payload) {
    match payload {
        Payload::Inline(bytes) => {
            writer.u8(INLINE);
            writer.count(bytes.len());
            writer.bytes(bytes);
        }
        Payload::Object { object, start, len } => {
            writer.u8(OBJECT);
            writer.object(*object);
            writer.varint(*start);
            writer.varint(u64::from(*len));
        }
    }
}

pub(super) fn read_payload(reader: &mut Reader<'_>) -> Read<Payload> {
    match reader.u8()? {
        INLINE => {
            let len = reader.count(1)?;
            Ok(Payload::Inline(Bytes::copy_from_slice(reader.take(len)?)))
        }
        OBJECT => Ok(Payload::Object { object: reader.object()?, start: reader.varint()?, len: reader.varint_u32()? }),
        unknown => Err(DecodeError::UnknownTag(unknown)),
    }
}

pub(super) fn write_option<T>(writer: &mut Writer, value: Option<&T>, write: impl FnOnce(&mut Writer, &T)) {
    writer.u8(u8::from(value.is_some()));
    if let Some(value) = value {
        write(writer, value);
    }
}

pub(super) fn read_option<'a, T>(
    reader: &mut Reader<'a>,
    read: impl FnOnce(&mut Reader<'a>) -> Read<T>,
) -> Read<Option<T>> {
    if read_flag(reader)? { read(reader).map(Some) } else { Ok(None) }
}

pub(super) fn read_flag(reader: &mut Reader<'_>) -> Read<bool> {
    match reader.u8()? {
        0 => Ok(false),
        1 => Ok(true),
        unknown => Err(DecodeError::UnknownTag(unknown)),
    }
}

pub(super) fn read_list<'a, T>(
    reader: &mut Reader<'a>,
    element_bytes_min: usize,
    mut read: impl FnMut(&mut Reader<'a>) -> Read<T>,
) -> Read<Vec<T>> {
    let count = reader.count(element_bytes_min)?;
    let mut elements = Vec::new();
    for _ in 0..count {
        elements.push(read(reader)?);
    }
    Ok(elements)
}
