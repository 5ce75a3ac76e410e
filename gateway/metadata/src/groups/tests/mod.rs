//! What the tests of groups build on: one log, two gateway sessions, and the group "g".

#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

mod any;
mod bounds;
mod codec;
mod commit;
mod delete;
mod expire;
mod guards;
mod join;
mod leave;
mod phase;
mod statics;
mod sync;

use bytes::Bytes;

use super::*;
use crate::fixture::{Replay, topic_id};
use crate::{Applied, Command, Outcome};

pub(crate) use any::any_group_command;

pub(super) const NONE: u32 = u32::MAX;

pub(super) struct Scenario {
    pub(super) replay: Replay,
    /// Two gateways.
    pub(super) a: SessionId,
    pub(super) b: SessionId,
}

pub(super) fn text(text: &'static str) -> Payload {
    Payload::Inline(Bytes::from_static(text.as_bytes()))
}

pub(super) fn protocols(names: &[&'static str]) -> Vec<(String, Payload)> {
    names.iter().map(|name| ((*name).to_owned(), text("topics"))).collect()
}

pub(super) fn refused(refusal: GroupRefusal) -> GroupOutcome {
    GroupOutcome::Refused(refusal)
}

impl Scenario {
    /// Two sessions and the topic "t" of three partitions; no group.
    pub(super) fn new() -> Self {
        let (mut replay, a) = Replay::with_topic();
        let b = replay.open(2);
        Self { replay, a, b }
    }

    /// A stable group of these members in generation 1, all through session `a`; the first leads.
    pub(super) fn stable(ids: &[&str]) -> Self {
        let mut scenario = Self::completing(ids);
        scenario.lead();
        scenario
    }

    /// A group of these members that waits for its leader's assignments, in generation 1.
    pub(super) fn completing(ids: &[&str]) -> Self {
        let mut scenario = Self::new();
        for id in ids {
            let join = JoinGroup { initial_delay_ms: 100, ..scenario.new_join(id) };
            scenario.run_a(join);
        }
        assert_eq!(scenario.complete(), GroupOutcome::PhaseCompleted);
        assert_eq!(scenario.group().phase, GroupPhase::CompletingRebalance);
        scenario
    }

    pub(super) fn group(&self) -> &Group {
        self.replay.state.group("g").unwrap()
    }

    pub(super) fn member(&self, id: &str) -> &Member {
        self.group().member_by_id(id).unwrap_or_else(|| panic!("no member {id}"))
    }

    pub(super) fn number(&self, id: &str) -> MemberNumber {
        *self.group().member_ids.get(id).unwrap_or_else(|| panic!("nobody is {id}"))
    }

    pub(super) fn ids(&self) -> Vec<String> {
        self.group().members.values().map(|member| member.id.to_string()).collect()
    }

    /// Phase and generation.
    pub(super) fn at(&self) -> (GroupPhase, i32) {
        (self.group().phase, self.group().generation)
    }

    pub(super) fn seen(&self, id: &str) -> SeenMember {
        let member = self.number(id);
        SeenMember { member, watch_epoch: self.group().watch_of(member).unwrap().epoch }
    }

    /// The Join of somebody new; without delay.
    pub(super) fn new_join(&self, id: &str) -> JoinGroup {
        JoinGroup {
            group_id: "g".to_owned(),
            seen: self.replay.state.group("g").map(|group| (group.number, group.generation)),
            joiner: Joiner::New { member_id: id.to_owned(), register_only: false },
            seen_instance: None,
            instance_id: None,
            client_id: "client".to_owned(),
            client_host: "/127.0.0.1".to_owned(),
            session_timeout_ms: 10_000,
            rebalance_timeout_ms: 60_000,
            protocol_type: "consumer".to_owned(),
            protocols: protocols(&["range"]),
            initial_delay_ms: 0,
            max_size: NONE,
            stamp_ms: 1_000,
        }
    }

    pub(super) fn register(&self, id: &str) -> JoinGroup {
        let joiner = Joiner::New { member_id: id.to_owned(), register_only: true };
        JoinGroup { joiner, ..self.new_join(id) }
    }

    /// The Join of a member or a registered one.
    pub(super) fn rejoin(&self, id: &str) -> JoinGroup {
        let instance_id = self.group().member_by_id(id).and_then(|member| member.instance_id.as_deref());
        let instance_id = instance_id.map(str::to_owned);
        JoinGroup { joiner: Joiner::Known(self.seen(id)), instance_id, ..self.new_join(id) }
    }

    pub(super) fn static_join(&self, id: &str, instance_id: &str) -> JoinGroup {
        let group = self.replay.state.group("g");
        let seen_instance = group.and_then(|group| group.member_by_instance(instance_id)).map(|member| member.number);
        JoinGroup { seen_instance, instance_id: Some(instance_id.to_owned()), ..self.new_join(id) }
    }

    pub(super) fn sync(&self, id: &str, assignments: &[(&str, &'static str)]) -> SyncGroup {
        let assignments = assignments.iter().map(|(id, bytes)| (self.number(id), text(bytes))).collect();
        SyncGroup {
            group: self.group().number,
            member: self.seen(id),
            generation: self.group().generation,
            assignments: Some(assignments),
            stamp_ms: 2_000,
        }
    }

    pub(super) fn leave(&self, ids: &[&str]) -> LeaveGroup {
        let members = ids.iter().map(|id| self.number(id)).collect();
        LeaveGroup { group: self.group().number, members, stamp_ms: 3_000 }
    }

    pub(super) fn expire(&self, id: &str) -> ExpireMember {
        let watch = self.group().watch_of(self.number(id)).unwrap();
        let (group, last_activity) = (self.group().number, watch.last_activity);
        ExpireMember { group, member: self.seen(id), last_activity, stamp_ms: 4_000 }
    }

    pub(super) fn completion(&self) -> CompletePhase {
        let Group { number, phase, generation, last_change, .. } = *self.group();
        CompletePhase { group: number, phase, generation, last_change, stamp_ms: 5_000 }
    }

    pub(super) fn complete(&mut self) -> GroupOutcome {
        let completion = self.completion();
        self.run_a(completion)
    }

    /// The leader assigns to everybody.
    pub(super) fn lead(&mut self) {
        let leader = self.group().leader.unwrap();
        let leader = self.group().members[&leader].id.to_string();
        let ids = self.ids();
        let assignments: Vec<_> = ids.iter().map(|id| (id.as_str(), "assigned")).collect();
        let sync = self.sync(&leader, &assignments);
        assert_eq!(self.run_a(sync), GroupOutcome::Synced);
    }

    pub(super) fn commit(&self, committer: Committer, offsets: &[(i32, i64)]) -> CommitOffsets {
        let group = self.replay.state.group("g");
        let offset =
            |(partition, offset)| CommitOffset { partition, offset, leader_epoch: 0, metadata: "m".to_owned() };
        CommitOffsets {
            group: group.map_or(CommitGroup::New("g".to_owned()), |group| CommitGroup::Known(group.number)),
            committer,
            known: self.replay.state.known(),
            exclusive: false,
            committed_at_ms: 6_000,
            expires_at_ms: None,
            topics: vec![(topic_id(1), offsets.iter().copied().map(offset).collect())],
        }
    }

    pub(super) fn by(&self, id: &str) -> Committer {
        Committer::Member { member: self.number(id), generation: self.group().generation }
    }

    pub(super) fn stored(&self, partition: i32) -> Option<i64> {
        self.group().offsets.get(&(topic_id(1), partition)).map(|stored| stored.offset)
    }

    pub(super) fn run_a(&mut self, command: impl Into<GroupCommand>) -> GroupOutcome {
        self.send(self.a, command).0
    }

    pub(super) fn run_b(&mut self, command: impl Into<GroupCommand>) -> GroupOutcome {
        self.send(self.b, command).0
    }

    /// Applies one command. A preview has said the same, and whatever is refused has changed nothing (L11).
    pub(super) fn send(&mut self, session: SessionId, command: impl Into<GroupCommand>) -> (GroupOutcome, Applied) {
        let command = command.into();
        let before = self.replay.state.groups.clone();
        let previewed = self.replay.state.preview_group(session, &command);
        assert_eq!(self.replay.state.groups, before, "a preview changes nothing");
        let mut applied = self.replay.send(session, vec![Command::Group(command)]);
        let Outcome::Group(outcome) = applied.outcomes.remove(0) else { panic!("answered by another domain") };
        assert_eq!(outcome, previewed);
        if matches!(outcome, GroupOutcome::Refused(_) | GroupOutcome::Mismatch) {
            assert_eq!(self.replay.state.groups, before, "L11: {outcome:?} changed something");
            assert!(applied.groups.is_empty() && applied.offset_slices.is_empty());
        }
        (outcome, applied)
    }

    /// Closes a session, through the other one.
    pub(super) fn close(&mut self, session: SessionId) {
        let last_append = self.replay.state.session(session).unwrap().last_append;
        let closer = if session == self.a { self.b } else { self.a };
        let outcome = self.replay.one(closer, Command::CloseSession { session, last_append });
        assert_eq!(outcome, Outcome::SessionClosed { session });
    }
}

macro_rules! into_group_command {
    ($($variant:ident($command:ty)),* $(,)?) => {
        $(impl From<$command> for GroupCommand {
            fn from(command: $command) -> Self {
                Self::$variant(command)
            }
        })*
    };
}

into_group_command!(
    Join(JoinGroup),
    Sync(SyncGroup),
    TakeOver(TakeOver),
    Leave(LeaveGroup),
    ExpireMember(ExpireMember),
    CompletePhase(CompletePhase),
    CommitOffsets(CommitOffsets),
    DeleteOffsets(DeleteOffsets),
    DeleteGroup(DeleteGroup),
);
