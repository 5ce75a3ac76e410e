//! Groups in a snapshot. Every index and count over them is made again when they are read.
//!
//! Counter: number of the next group (varint). Cardinality: one item, or none before the first group.
//!
//! Group: number (varint), id (string), shard, phase (u8), initial (u8, 0 or 1), initial delay (varint, ms), generation
//! (zigzag), protocol type, protocol (optional strings), leader (optional varint), next member (varint), phase began and
//! last change (varint positions), phase began (zigzag, ms). Cardinality: one item per group, ascending by number, at most
//! `limits::GROUPS`; before all members.
//!
//! Member: group, number (varints), id (string), instance id (optional string), client id and host (strings), session and
//! rebalance timeout (zigzag, ms), number of protocols (varint), each a name (string) and a payload, assignment (optional
//! payload), generation (zigzag), session it joined by (optional varint), watch. Watch: session, epoch, last activity (varints). Payloads and
//! options are laid out as in commands (`codec.rs`). Cardinality: one item per member, ascending by group and number, at
//! most `limits::MEMBERS` together with the registered ones.
//!
//! Registered: group, number (varints), id (string), session timeout (zigzag, ms), watch. Cardinality: one item each.
//!
//! Offsets: group (varint), number of offsets (varint, 1 to [`OFFSETS_PER_ITEM`]), each: topic id (16 bytes), partition,
//! offset, leader epoch (zigzag), metadata (string), committed at (zigzag, ms), expires at (optional zigzag, ms), position,
//! session (varints). Cardinality: as many items as a group's offsets fill, ascending by topic and partition, at most
//! `limits::OFFSETS` offsets in all.

use std::sync::Arc;

use uuid::Uuid;

use super::Groups;
use super::codec::{
    phase_tag, read_flag, read_group, read_list, read_member, read_option, read_payload, read_phase, write_group,
    write_option, write_payload,
};
use super::command::{GroupNumber, Payload};
use super::group::{CommittedOffset, Group, Member, Registered, Watch};
use crate::Position;
use crate::wire::{DecodeError, Reader, Writer};

/// Offsets in one item.
const OFFSETS_PER_ITEM: usize = 256;

/// The shortest offset in an item.
const OFFSET_BYTES_MIN: usize = 24;

/// The shortest protocol: no name and an empty payload.
const PROTOCOL_BYTES_MIN: usize = 3;

pub(crate) const COUNTER: u8 = 6;
pub(crate) const GROUP: u8 = 7;
pub(crate) const MEMBER: u8 = 8;
pub(crate) const REGISTERED: u8 = 9;
pub(crate) const OFFSETS: u8 = 10;

type Read<T> = Result<T, DecodeError>;

impl Groups {
    /// Writes every item, in the order of their tags.
    pub(crate) fn write(&self, mut item: impl FnMut(u8, &dyn Fn(&mut Writer))) {
        if self.next_group > 0 {
            item(COUNTER, &|writer| writer.varint(self.next_group));
        }
        for group in self.by_number.values() {
            item(GROUP, &|writer| write_header(writer, group));
        }
        for group in self.by_number.values() {
            for member in group.members.values() {
                item(MEMBER, &|writer| write_member(writer, group.number, member));
            }
        }
        for group in self.by_number.values() {
            for registered in group.registered.values() {
                item(REGISTERED, &|writer| write_registered(writer, group.number, registered));
            }
        }
        for group in self.by_number.values() {
            let offsets: Vec<_> = group.offsets.iter().collect();
            for chunk in offsets.chunks(OFFSETS_PER_ITEM) {
                item(OFFSETS, &|writer| write_offsets(writer, group.number, chunk));
            }
        }
    }

    /// Adds one item; `Ok(None)` when it belongs to a group that is not there, `Ok(Some(false))` when it is there twice.
    pub(crate) fn restore(&mut self, tag: u8, reader: &mut Reader<'_>) -> Read<Option<bool>> {
        match tag {
            COUNTER => {
                let is_first = self.next_group == 0;
                self.next_group = reader.varint()?;
                Ok(Some(is_first))
            }
            GROUP => {
                let group = read_header(reader)?;
                let (number, id) = (group.number, Arc::clone(&group.id));
                let is_new = self.by_id.insert(id, number).is_none();
                Ok(Some(self.by_number.insert(number, Arc::new(group)).is_none() && is_new))
            }
            MEMBER => {
                let (number, member) = (read_group(reader)?, read_whole_member(reader)?);
                Ok(self.restore_member(number, member))
            }
            REGISTERED => {
                let (number, registered) = (read_group(reader)?, read_registered(reader)?);
                Ok(self.restore_registered(number, registered))
            }
            OFFSETS => {
                let number = read_group(reader)?;
                let offsets = read_list(reader, OFFSET_BYTES_MIN, read_offset)?;
                Ok(self.restore_offsets(number, offsets))
            }
            unknown => Err(DecodeError::UnknownTag(unknown)),
        }
    }

    fn restore_member(&mut self, number: GroupNumber, member: Member) -> Option<bool> {
        let group = Arc::make_mut(self.by_number.get_mut(&number)?);
        let mut is_new = group.member_ids.insert(Arc::clone(&member.id), member.number).is_none();
        if let Some(instance_id) = &member.instance_id {
            is_new &= group.instances.insert(Arc::clone(instance_id), member.number).is_none();
        }
        group.joined += usize::from(member.joined_by.is_some());
        group.count_protocols(&member.protocols);
        let assigned = member.assignment.as_ref().map_or(0, Payload::bytes);
        group.payload_bytes = group.payload_bytes.saturating_add(assigned);
        self.hosted.add(number, member.number, member.place());
        self.usage.members = self.usage.members.saturating_add(1);
        Some(group.members.insert(member.number, Arc::new(member)).is_none() && is_new)
    }

    fn restore_registered(&mut self, number: GroupNumber, registered: Registered) -> Option<bool> {
        let group = Arc::make_mut(self.by_number.get_mut(&number)?);
        let is_new = group.member_ids.insert(Arc::clone(&registered.id), registered.number).is_none();
        self.hosted.add(number, registered.number, registered.place());
        self.usage.members = self.usage.members.saturating_add(1);
        Some(group.registered.insert(registered.number, Arc::new(registered)).is_none() && is_new)
    }

    fn restore_offsets(&mut self, number: GroupNumber, offsets: Vec<((Uuid, i32), CommittedOffset)>) -> Option<bool> {
        let group = Arc::make_mut(self.by_number.get_mut(&number)?);
        let mut is_new = true;
        for (key, offset) in offsets {
            is_new &= group.offsets.insert(key, offset).is_none();
            self.usage.offsets = self.usage.offsets.saturating_add(1);
        }
        Some(is_new)
    }
}

fn write_text(writer: &mut Writer, text: &Arc<str>) {
    writer.string(text);
}

fn read_text(reader: &mut Reader<'_>) -> Read<Arc<str>> {
    Ok(reader.string()?.into())
}

fn write_header(writer: &mut Writer, group: &Group) {
    write_group(writer, group.number);
    writer.string(&group.id);
    writer.u8(group.shard);
    writer.u8(phase_tag(group.phase));
    writer.u8(u8::from(group.is_initial));
    writer.varint(u64::from(group.initial_delay_ms));
    writer.zigzag(i64::from(group.generation));
    write_option(writer, group.protocol_type.as_ref(), write_text);
    write_option(writer, group.protocol.as_ref(), write_text);
    write_option(writer, group.leader.as_ref(), |writer, leader| writer.varint(leader.0));
    writer.varint(group.next_member);
    writer.position(group.phase_began);
    writer.position(group.last_change);
    writer.zigzag(group.phase_began_ms);
}

fn read_header(reader: &mut Reader<'_>) -> Read<Group> {
    let number = read_group(reader)?;
    let id = read_text(reader)?;
    let mut group = Group::new(number, id, Position::ZERO, 0);
    group.shard = reader.u8()?;
    group.phase = read_phase(reader)?;
    group.is_initial = read_flag(reader)?;
    group.initial_delay_ms = reader.varint_u32()?;
    group.generation = reader.zigzag_i32()?;
    group.protocol_type = read_option(reader, read_text)?;
    group.protocol = read_option(reader, read_text)?;
    group.leader = read_option(reader, read_member)?;
    group.next_member = reader.varint()?;
    group.phase_began = reader.position()?;
    group.last_change = reader.position()?;
    group.phase_began_ms = reader.zigzag()?;
    Ok(group)
}

fn write_watch(writer: &mut Writer, watch: &Watch) {
    writer.position(watch.session.0);
    writer.varint(watch.epoch);
    writer.position(watch.last_activity);
}

fn read_watch(reader: &mut Reader<'_>) -> Read<Watch> {
    Ok(Watch { session: reader.session()?, epoch: reader.varint()?, last_activity: reader.position()? })
}

fn write_member(writer: &mut Writer, group: GroupNumber, member: &Member) {
    write_group(writer, group);
    writer.varint(member.number.0);
    writer.string(&member.id);
    write_option(writer, member.instance_id.as_ref(), write_text);
    writer.string(&member.client_id);
    writer.string(&member.client_host);
    writer.zigzag(i64::from(member.session_timeout_ms));
    writer.zigzag(i64::from(member.rebalance_timeout_ms));
    writer.count(member.protocols.len());
    for (name, metadata) in member.protocols.iter() {
        writer.string(name);
        write_payload(writer, metadata);
    }
    write_option(writer, member.assignment.as_ref(), write_payload);
    writer.zigzag(i64::from(member.generation));
    write_option(writer, member.joined_by.as_ref(), |writer, session| writer.position(session.0));
    write_watch(writer, &member.watch);
}

fn read_whole_member(reader: &mut Reader<'_>) -> Read<Member> {
    Ok(Member {
        number: read_member(reader)?,
        id: read_text(reader)?,
        instance_id: read_option(reader, read_text)?,
        client_id: read_text(reader)?,
        client_host: read_text(reader)?,
        session_timeout_ms: reader.zigzag_i32()?,
        rebalance_timeout_ms: reader.zigzag_i32()?,
        protocols: read_list(reader, PROTOCOL_BYTES_MIN, |reader| Ok((read_text(reader)?, read_payload(reader)?)))?
            .into(),
        assignment: read_option(reader, read_payload)?,
        generation: reader.zigzag_i32()?,
        joined_by: read_option(reader, |reader| reader.session())?,
        watch: read_watch(reader)?,
    })
}

fn write_registered(writer: &mut Writer, group: GroupNumber, registered: &Registered) {
    write_group(writer, group);
    writer.varint(registered.number.0);
    writer.string(&registered.id);
    writer.zigzag(i64::from(registered.session_timeout_ms));
    write_watch(writer, &registered.watch);
}

fn read_registered(reader: &mut Reader<'_>) -> Read<Registered> {
    Ok(Registered {
        number: read_member(reader)?,
        id: read_text(reader)?,
        session_timeout_ms: reader.zigzag_i32()?,
        watch: read_watch(reader)?,
    })
}

fn write_offsets(writer: &mut Writer, group: GroupNumber, offsets: &[(&(Uuid, i32), &CommittedOffset)]) {
    write_group(writer, group);
    writer.count(offsets.len());
    for ((topic_id, partition), offset) in offsets {
        writer.uuid(*topic_id);
        writer.zigzag(i64::from(*partition));
        writer.zigzag(offset.offset);
        writer.zigzag(i64::from(offset.leader_epoch));
        writer.string(&offset.metadata);
        writer.zigzag(offset.committed_at_ms);
        write_option(writer, offset.expires_at_ms.as_ref(), |writer, stamp| writer.zigzag(*stamp));
        writer.position(offset.position);
        writer.position(offset.session.0);
    }
}

fn read_offset(reader: &mut Reader<'_>) -> Read<((Uuid, i32), CommittedOffset)> {
    let key = (reader.uuid()?, reader.zigzag_i32()?);
    let offset = CommittedOffset {
        offset: reader.zigzag()?,
        leader_epoch: reader.zigzag_i32()?,
        metadata: read_text(reader)?,
        committed_at_ms: reader.zigzag()?,
        expires_at_ms: read_option(reader, |reader| reader.zigzag())?,
        position: reader.position()?,
        session: reader.session()?,
    };
    Ok((key, offset))
}
