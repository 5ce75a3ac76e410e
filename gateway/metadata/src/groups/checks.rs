//! What is true of all groups, as named predicates (see `invariants.rs`).

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::command::{GroupNumber, Payload};
use super::group::{Group, GroupPhase, Member, Watch};
use super::index::Hosted;
use super::turn::{distinct_names, metadata_bytes, shard_of};
use crate::invariants::holds;
use crate::{State, limits};

type Checked = Result<(), String>;

/// Every predicate on all groups, and on the indexes and counts over them.
pub(crate) fn check_all(state: &State) -> Checked {
    let groups = &state.groups;
    holds(groups.by_id.len() == groups.by_number.len(), "as many group ids as groups")?;
    holds(groups.by_number.len() <= limits::GROUPS, "I-14: the groups are within their bound")?;
    let (mut hosted, mut members, mut offsets) = (Hosted::default(), 0_usize, 0_usize);
    for (number, group) in &groups.by_number {
        let found = group.number == *number && groups.by_id.get(&*group.id) == Some(number);
        holds(found, "a group is found by its number and its id")?;
        holds(number.0 < groups.next_group, "a group's number was given")?;
        check_group(state, *number)?;
        in_group(group, offsets_are_consistent(state, group))?;
        members += group.members.len() + group.registered.len();
        offsets += group.offsets.len();
        for member in group.members.values() {
            hosted.add(*number, member.number, member.place());
        }
        for registered in group.registered.values() {
            hosted.add(*number, registered.number, registered.place());
        }
    }
    holds(hosted == groups.hosted, "T1: a session hosts those it watches or holds the Joins of")?;
    let usage = &groups.usage;
    let counted = usize::try_from(usage.members) == Ok(members) && usize::try_from(usage.offsets) == Ok(offsets);
    holds(counted, "I-14: the counts of members and offsets are those of the groups")?;
    let bounded = usage.members <= limits::MEMBERS && usage.offsets <= limits::OFFSETS;
    holds(bounded, "I-14: members and offsets are within their bounds")
}

/// The predicates that apply must keep, on one group; true of one that was deleted. O(members).
pub(crate) fn check_group(state: &State, number: GroupNumber) -> Checked {
    let Some(group) = state.group_by_number(number) else { return Ok(()) };
    in_group(group, group_is_consistent(state, group))
}

fn in_group(group: &Group, checked: Checked) -> Checked {
    checked.map_err(|broken| format!("group {:?}: {broken}", group.id))
}

fn group_is_consistent(state: &State, group: &Group) -> Checked {
    holds(group.shard == shard_of(&group.id), "L12: a group keeps its shard")?;
    let known = state.known();
    holds(group.phase_began <= known && group.last_change <= known, "a group was changed by applied entries")?;
    holds(group.generation >= 0, "a generation is not negative")?;
    // The planted defect breaks just these.
    if !state.defects.complete_after_joins_only {
        phase_fits_members(group)?;
    }
    members_are_consistent(state, group)?;
    registered_are_consistent(state, group)?;
    indexes_agree(group)?;
    counts_agree(group)
}

fn phase_fits_members(group: &Group) -> Checked {
    let has_members = !group.members.is_empty();
    let fits = match group.phase {
        GroupPhase::Empty => !has_members,
        // All may have left while it waits for registered ones.
        GroupPhase::PreparingRebalance => true,
        GroupPhase::CompletingRebalance | GroupPhase::Stable => has_members,
    };
    holds(fits, "a group without members is empty, or in a phase of joins that has not ended")?;
    let is_preparing = group.phase == GroupPhase::PreparingRebalance;
    let waits_for_time = group.is_initial && has_members;
    holds(!is_preparing || waits_for_time || !group.has_all_joined(), "a phase that all have joined has ended")?;
    holds(is_preparing || !group.is_initial, "only a phase of joins is initial")?;
    holds(group.is_initial || group.initial_delay_ms == 0, "only an initial phase has a delay")?;
    holds(is_preparing || group.joined == 0, "members wait for a phase of joins only")?;
    holds(group.leader.is_some() == has_members, "a group with members has a leader, and no other")?;
    let leads = group.leader.is_none_or(|leader| group.members.contains_key(&leader));
    holds(leads, "the leader is a member")?;
    holds(!has_members || group.protocol_type.is_some(), "members have a protocol type")?;
    let is_chosen = matches!(group.phase, GroupPhase::CompletingRebalance | GroupPhase::Stable);
    holds(!is_chosen || group.protocol.is_some(), "a generation with members has a protocol")?;
    holds(group.phase != GroupPhase::Empty || group.protocol.is_none(), "an empty group has no protocol")
}

fn members_are_consistent(state: &State, group: &Group) -> Checked {
    for (number, member) in &group.members {
        holds(member.number == *number && number.0 < group.next_member, "a member's number was given")?;
        holds(group.member_ids.get(&*member.id) == Some(number), "a member is found by its id")?;
        watch_is_consistent(state, &member.watch)?;
        let instance = member.instance_id.as_ref();
        let found = instance.is_none_or(|instance| group.instances.get(&**instance) == Some(number));
        holds(found, "a static member is found by its instance id")?;
        holds(is_bounded(member), "I-14: a member is bounded")?;
    }
    Ok(())
}

fn registered_are_consistent(state: &State, group: &Group) -> Checked {
    for (number, registered) in &group.registered {
        let given = registered.number == *number && number.0 < group.next_member;
        holds(given && !group.members.contains_key(number), "a registered one has a number of its own")?;
        holds(group.member_ids.get(&*registered.id) == Some(number), "a registered one is found by its id")?;
        watch_is_consistent(state, &registered.watch)?;
    }
    Ok(())
}

fn watch_is_consistent(state: &State, watch: &Watch) -> Checked {
    holds(watch.last_activity <= state.known(), "T2: a last activity is an applied entry")?;
    holds(watch.session.0 <= state.known(), "L2: a member is watched by a session of this log")
}

fn is_bounded(member: &Member) -> bool {
    let is_text = |text: &str| text.len() <= limits::MEMBER_TEXT_BYTES;
    let is_small = |payload: &Payload| match payload {
        Payload::Inline(bytes) => bytes.len() <= limits::PAYLOAD_INLINE_BYTES,
        Payload::Object { .. } => true,
    };
    is_text(&member.id)
        && member.instance_id.as_deref().is_none_or(is_text)
        && is_text(&member.client_id)
        && is_text(&member.client_host)
        && member.protocols.len() <= limits::PROTOCOLS_PER_MEMBER
        && member.protocols.iter().all(|(name, metadata)| is_text(name) && is_small(metadata))
        && member.assignment.as_ref().is_none_or(is_small)
}

fn indexes_agree(group: &Group) -> Checked {
    let ids = group.members.len() + group.registered.len();
    holds(group.member_ids.len() == ids, "as many member ids as members and registered ones")?;
    let statics: BTreeSet<_> = group.members.values().filter_map(|member| member.instance_id.as_deref()).collect();
    let count = group.members.values().filter(|member| member.instance_id.is_some()).count();
    let agree = statics.len() == count && group.instances.len() == count;
    holds(agree, "an instance id is one member's")
}

fn counts_agree(group: &Group) -> Checked {
    let joined = group.members.values().filter(|member| member.joined_by.is_some()).count();
    holds(joined == group.joined, "`joined` counts the members that have joined")?;
    let mut support: BTreeMap<&Arc<str>, usize> = BTreeMap::new();
    let mut bytes = 0_u64;
    for member in group.members.values() {
        for name in distinct_names(&member.protocols) {
            *support.entry(name).or_insert(0) += 1;
        }
        let assigned = member.assignment.as_ref().map_or(0, Payload::bytes);
        bytes = bytes.saturating_add(metadata_bytes(&member.protocols)).saturating_add(assigned);
    }
    let agrees = support.len() == group.support.len()
        && support.iter().all(|(name, count)| group.support.get(&***name) == Some(count));
    holds(agrees, "`support` counts the members that support a protocol")?;
    holds(bytes == group.payload_bytes, "I-14: `payload_bytes` is what the members hold")?;
    let bounded = group.members.len() <= limits::MEMBERS_PER_GROUP
        && group.registered.len() <= limits::REGISTERED_PER_GROUP
        && group.payload_bytes <= limits::PAYLOAD_BYTES_PER_GROUP
        && group.id.len() <= limits::GROUP_ID_BYTES;
    holds(bounded, "I-14: a group is within its bounds")
}

fn offsets_are_consistent(state: &State, group: &Group) -> Checked {
    holds(group.offsets.len() <= limits::OFFSETS_PER_GROUP, "I-14: a group's offsets are bounded")?;
    for ((topic_id, partition), offset) in &group.offsets {
        let topic = state.topic_by_id(*topic_id);
        let is_there = topic.is_some_and(|topic| u32::try_from(*partition).is_ok_and(|p| p < topic.partitions));
        holds(is_there, "an offset belongs to a partition that is there")?;
        let known = offset.position <= state.known() && offset.session.0 < offset.position;
        holds(known, "an offset was committed by an applied entry")?;
        holds(offset.metadata.len() <= limits::OFFSET_METADATA_BYTES, "I-14: an offset's text is bounded")?;
    }
    Ok(())
}
