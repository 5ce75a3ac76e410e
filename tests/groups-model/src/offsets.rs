//! The model's part for what needs no membership: offsets, descriptions, lists, deletion.

use std::collections::BTreeSet;

use crate::members::{Phase, State};
use crate::model::{
    GROUP_ID_NOT_FOUND, GROUP_SUBSCRIBED_TO_TOPIC, ILLEGAL_GENERATION, INVALID_GROUP_ID, METADATA_MAX, NON_EMPTY_GROUP,
    NONE, OFFSET_METADATA_TOO_LARGE, REBALANCE_IN_PROGRESS, UNKNOWN_MEMBER_ID, UNKNOWN_TOPIC_ID,
    UNKNOWN_TOPIC_OR_PARTITION, World,
};
use crate::request::{Answer, Body, Commit, DescribedGroup, Fetched, Group, Id, Partitions, Request, Topic};

/// A generation below 0 comes from outside the group.
fn commit_refusal(state: &State, generation: i32, id: Id, instance: Option<u8>) -> Option<i16> {
    if generation < 0 && state.phase == Phase::Empty {
        return None;
    }
    if generation >= 0 || id != Id::Nobody || instance.is_some() {
        if let Some(error) = state.refusal(id, instance) {
            return Some(error);
        }
        if generation != state.generation {
            return Some(ILLEGAL_GENERATION);
        }
    } else if state.phase != Phase::Empty {
        return Some(UNKNOWN_MEMBER_ID);
    }
    // Kafka: accepted in PreparingRebalance, refused in CompletingRebalance; a heartbeat is the other way round.
    (state.phase == Phase::Completing).then_some(REBALANCE_IN_PROGRESS)
}

fn exists(topic: Topic, partition: i32) -> bool {
    (0..topic.partitions()).contains(&partition)
}

impl World {
    /// The answer to a request that nobody waits for.
    pub(crate) fn administer(&mut self, request: &Request) -> Answer {
        let version = request.version;
        match &request.body {
            Body::Commit { .. } => self.commit(request),
            Body::Fetch { groups, .. } => {
                let mut answered: Vec<_> = groups.iter().map(|(g, p)| self.fetch(version, *g, p.as_ref())).collect();
                answered.sort();
                Answer::Fetch(answered)
            }
            Body::DeleteOffsets { group, partitions } => self.delete_offsets(*group, partitions),
            Body::Describe { groups } => {
                let mut answered: Vec<_> = groups.iter().map(|g| self.describe(*g, version)).collect();
                answered.sort();
                Answer::Describe(answered)
            }
            Body::List { states, types } => self.list(version, states, types),
            Body::Delete { groups } => self.delete(groups),
            // The others are not for this function.
            _ => Answer::Delete(Vec::new()),
        }
    }

    fn commit(&mut self, request: &Request) -> Answer {
        let Body::Commit { group, generation, id, instance, commits } = &request.body else {
            return Answer::Commit(Vec::new());
        };
        let version = request.version;
        let absent = |c: &Commit| {
            if c.topic == Topic::Unknown && version >= 10 { UNKNOWN_TOPIC_ID } else { UNKNOWN_TOPIC_OR_PARTITION }
        };
        // Kafka: what does not exist is taken out first; the group is asked about the rest, and not at all if none is left.
        let (present, missing): (Vec<&Commit>, Vec<&Commit>) =
            commits.iter().partition(|c| exists(c.topic, c.partition));
        let mut answered: Vec<(Topic, i32, i16)> = missing.iter().map(|c| (c.topic, c.partition, absent(c))).collect();
        let mut refusal = None;
        if !present.is_empty() {
            refusal = match self.groups.get(group) {
                Some(state) => commit_refusal(state, *generation, *id, *instance),
                None if *generation < 0 => None,
                None if version >= 9 => Some(GROUP_ID_NOT_FOUND),
                None => Some(ILLEGAL_GENERATION),
            };
        }
        for commit in present {
            let long = commit.metadata.as_ref().is_some_and(|m| m.chars().count() > METADATA_MAX);
            let error = refusal.unwrap_or(if long { OFFSET_METADATA_TOO_LARGE } else { NONE });
            answered.push((commit.topic, commit.partition, error));
            if error == NONE {
                let epoch = if version >= 6 { commit.epoch } else { -1 };
                let offset = (commit.offset, epoch, commit.metadata.clone().unwrap_or_default());
                let state = self.groups.entry(*group).or_default();
                state.offsets.insert((commit.topic, commit.partition), offset);
            }
        }
        answered.sort();
        Answer::Commit(answered)
    }

    fn fetch(&self, version: i16, group: Group, asked: Option<&Partitions>) -> (Group, i16, Vec<Fetched>) {
        let offsets = self.groups.get(&group).map(|s| &s.offsets);
        let tell = |topic: Topic, partition: i32| {
            let found = offsets.and_then(|o| o.get(&(topic, partition)).cloned());
            // Kafka: what was never committed is no error, not even for a topic or a group there is not.
            let (offset, epoch, metadata) = found.unwrap_or((-1, -1, String::new()));
            let by_unknown_id = version >= 10 && topic == Topic::Unknown;
            let error = if by_unknown_id { UNKNOWN_TOPIC_ID } else { NONE };
            (topic, partition, offset, if version >= 5 { epoch } else { -1 }, metadata, error)
        };
        let mut told: Vec<Fetched> = match asked {
            Some(asked) => {
                asked.iter().flat_map(|(t, ps)| ps.iter().map(|p| tell(*t, *p)).collect::<Vec<_>>()).collect()
            }
            None => offsets.iter().flat_map(|o| o.keys()).map(|(t, p)| tell(*t, *p)).collect(),
        };
        told.sort();
        (group, NONE, told)
    }

    fn delete_offsets(&mut self, group: Group, asked: &Partitions) -> Answer {
        let all: Vec<(Topic, i32)> = asked.iter().flat_map(|(t, ps)| ps.iter().map(|p| (*t, *p))).collect();
        let missing: Vec<_> = all.iter().filter(|(t, p)| !exists(*t, *p)).collect();
        let error = match self.groups.get(&group) {
            _ if group == Group::Nameless => INVALID_GROUP_ID,
            None => GROUP_ID_NOT_FOUND,
            Some(state) if state.phase != Phase::Empty && state.kind != Some("consumer") => NON_EMPTY_GROUP,
            Some(_) => NONE,
        };
        let mut partitions: Vec<(Topic, i32, i16)> =
            missing.iter().map(|(t, p)| (*t, *p, UNKNOWN_TOPIC_OR_PARTITION)).collect();
        if error != NONE {
            return Answer::DeleteOffsets { error, partitions: Vec::new() };
        }
        let manner = self.manner;
        if let Some(state) = self.groups.get_mut(&group) {
            for (topic, partition) in all.into_iter().filter(|(t, p)| exists(*t, *p)) {
                let read = state.reads(topic, manner);
                partitions.push((topic, partition, if read { GROUP_SUBSCRIBED_TO_TOPIC } else { NONE }));
                if !read {
                    state.offsets.remove(&(topic, partition));
                }
            }
        }
        partitions.sort();
        Answer::DeleteOffsets { error: NONE, partitions }
    }

    fn describe(&self, group: Group, version: i16) -> DescribedGroup {
        let Some(state) = self.groups.get(&group) else {
            let error = if version >= 6 { GROUP_ID_NOT_FOUND } else { NONE };
            let (state, kind, protocol) = ("Dead".to_owned(), String::new(), String::new());
            return DescribedGroup { group, error, state, kind, protocol, members: Vec::new() };
        };
        let mut members: Vec<_> = state.members.keys().filter_map(|id| state.described(*id, version)).collect();
        members.sort();
        let protocol = state.protocol.filter(|_| state.phase == Phase::Stable).unwrap_or_default();
        DescribedGroup {
            group,
            error: NONE,
            state: state.phase.name().to_owned(),
            kind: state.kind.unwrap_or_default().to_owned(),
            protocol: protocol.to_owned(),
            members,
        }
    }

    fn list(&self, version: i16, states: &[&str], types: &[&str]) -> Answer {
        let like = |filter: &[&str], name: &str| {
            // Kafka: names in filters are compared without case; one that does not exist just finds nothing.
            filter.is_empty() || filter.iter().any(|f| f.trim().eq_ignore_ascii_case(name))
        };
        let mut groups = Vec::new();
        for (group, state) in &self.groups {
            let phase = state.phase.name();
            if like(states, phase) && like(types, "classic") {
                let shown = if version >= 4 { phase } else { "" };
                let kind = state.kind.unwrap_or_default();
                groups.push((
                    *group,
                    kind.to_owned(),
                    shown.to_owned(),
                    if version >= 5 { "classic" } else { "" }.to_owned(),
                ));
            }
        }
        groups.sort();
        Answer::List { error: NONE, groups }
    }

    fn delete(&mut self, groups: &[Group]) -> Answer {
        // Kafka: a group named twice is answered once, unlike in a description.
        let distinct: BTreeSet<Group> = groups.iter().copied().collect();
        let mut answered = Vec::new();
        for group in &distinct {
            let error = match self.groups.get(group) {
                None => GROUP_ID_NOT_FOUND,
                Some(state) if state.phase != Phase::Empty => NON_EMPTY_GROUP,
                Some(_) => {
                    // Kafka: pending members do not keep a group.
                    self.groups.remove(group);
                    NONE
                }
            };
            answered.push((*group, error));
        }
        answered.sort();
        Answer::Delete(answered)
    }
}
