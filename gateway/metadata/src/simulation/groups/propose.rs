//! Proposals: what a gateway that knows some State would ask for, and some that none should.

use uuid::Uuid;

use crate::{
    Command, CommitGroup, CommitOffset, CommitOffsets, Committer, CompletePhase, DeleteGroup, DeleteOffsets,
    ExpireMember, Group, GroupNumber, GroupPhase, JoinGroup, Joiner, LeaveGroup, MemberNumber, Payload, Position,
    SeenMember, SessionId, State, SyncGroup, TakeOver,
};

/// Numbers that one step decides.
pub(super) struct Dice(u64);

impl Dice {
    pub(super) fn new(what: u8, detail: u32) -> Self {
        Self((u64::from(detail) << 8) | u64::from(what))
    }

    fn roll(&mut self, sides: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % sides
    }

    pub(super) fn index(&mut self, len: usize) -> usize {
        usize::try_from(self.roll(u64::try_from(len).unwrap())).unwrap()
    }

    pub(super) fn one_in(&mut self, sides: u64) -> bool {
        self.roll(sides) == 0
    }

    fn pick<T>(&mut self, of: impl IntoIterator<Item = T>) -> Option<T> {
        let mut all: Vec<_> = of.into_iter().collect();
        if all.is_empty() { None } else { Some(all.swap_remove(self.index(all.len()))) }
    }
}

/// Gives names and stamps; all of them differ.
#[derive(Default)]
pub(super) struct Proposer {
    counter: u32,
}

impl Proposer {
    fn next(&mut self) -> u32 {
        self.counter += 1;
        self.counter
    }

    pub(super) fn open_session(&mut self) -> Command {
        let nonce = u128::from(self.next());
        Command::OpenSession { nonce, feature_level: 1, opened_at_ms: 0, name: String::new() }
    }

    fn create_topic(&mut self, name: &str) -> Command {
        let (topic_id, name) = (Uuid::from_u128(u128::from(self.next())), name.to_owned());
        Command::CreateTopic { topic_id, name, partitions: 201, configs: Vec::new(), created_at_ms: 0 }
    }

    pub(super) fn create_topics(&mut self) -> Vec<Command> {
        vec![self.create_topic("t"), self.create_topic("u")]
    }

    pub(super) fn propose(&mut self, dice: &mut Dice, seen: &State, session: SessionId) -> Option<Command> {
        let name = if dice.one_in(3) { "h" } else { "g" };
        let stamp_ms = i64::from(self.next());
        let group = seen.group(name);
        // Once out of two, what moves the group on.
        let what = match group.map(|group| group.phase) {
            Some(GroupPhase::CompletingRebalance) if dice.one_in(2) => 23,
            Some(GroupPhase::PreparingRebalance) if dice.one_in(2) => 8,
            Some(GroupPhase::Stable) if dice.one_in(4) => 3,
            _ => dice.roll(64),
        };
        let command = match (what, group) {
            (0..=1, _) => return close_session(dice, seen, session),
            (2, _) => return Some(self.change_topics(dice, seen)),
            (3..=7, _) | (8..=44, None) => self.join_new(dice, name, group.map(|group| &**group)).into(),
            (8..=22, Some(group)) => join_known(dice, group)?.into(),
            (23..=31, Some(group)) => sync(dice, group, stamp_ms)?.into(),
            (32..=34, Some(group)) => TakeOver { group: group.number, member: anybody(dice, group)? }.into(),
            (35..=37, Some(group)) => leave(dice, group, stamp_ms)?.into(),
            (38..=41, Some(group)) => expire(dice, group, stamp_ms)?.into(),
            (42..=44, Some(group)) => complete(dice, group, stamp_ms).into(),
            (45..=50, Some(group)) => delete_offsets(dice, group)?.into(),
            (51, Some(group)) => DeleteGroup { group: group.number }.into(),
            (52, Some(_)) => DeleteGroup { group: GroupNumber(dice.roll(6)) }.into(),
            _ => commit(dice, seen, name, stamp_ms)?.into(),
        };
        Some(Command::Group(command))
    }

    fn change_topics(&mut self, dice: &mut Dice, seen: &State) -> Command {
        match dice.pick(seen.topics()).filter(|_| dice.one_in(2)) {
            Some(topic) => Command::DeleteTopic { topic_id: topic.id },
            None => self.create_topic(if dice.one_in(2) { "t" } else { "u" }),
        }
    }

    fn join_new(&mut self, dice: &mut Dice, name: &str, group: Option<&Group>) -> JoinGroup {
        let member_id = format!("m{}", self.next());
        let instance_id = dice.one_in(3).then(|| format!("i{}", dice.roll(3)));
        let register_only = instance_id.is_none() && dice.one_in(2);
        join(dice, name, group, Joiner::New { member_id, register_only }, instance_id)
    }
}

fn join(dice: &mut Dice, name: &str, group: Option<&Group>, joiner: Joiner, instance_id: Option<String>) -> JoinGroup {
    let lists: [&[&str]; 4] = [&["range"], &["range", "sticky"], &["sticky", "range"], &["sticky"]];
    let list = lists[if dice.one_in(12) { 3 } else { dice.index(3) }];
    let protocols = list.iter().map(|name| ((*name).to_owned(), payload(dice))).collect();
    JoinGroup {
        group_id: name.to_owned(),
        seen: group.map(|group| (group.number, group.generation)),
        joiner,
        seen_instance: instance_id
            .as_deref()
            .and_then(|instance_id| Some(group?.member_by_instance(instance_id)?.number)),
        instance_id,
        client_id: "c".to_owned(),
        client_host: "/1".to_owned(),
        session_timeout_ms: 10_000,
        rebalance_timeout_ms: 60_000,
        protocol_type: if dice.one_in(20) { "connect" } else { "consumer" }.to_owned(),
        protocols,
        initial_delay_ms: if dice.one_in(2) { 0 } else { 3_000 },
        max_size: if dice.one_in(10) { 3 } else { 100 },
        stamp_ms: 1,
    }
}

fn payload(dice: &mut Dice) -> Payload {
    let byte = u8::try_from(dice.roll(2)).unwrap();
    Payload::Inline(vec![byte].into())
}

/// Somebody who has not joined the running phase yet, more often than not.
fn join_known(dice: &mut Dice, group: &Group) -> Option<JoinGroup> {
    let awaited = group.members.values().filter(|member| member.joined_by.is_none()).map(|member| member.number);
    let awaited = dice.pick(awaited.chain(group.registered.keys().copied()));
    let member = if dice.one_in(4) { anybody(dice, group)?.member } else { awaited? };
    let seen = seen_of(group, member)?;
    let instance_id = group.members.get(&member).and_then(|member| member.instance_id.as_deref());
    let stranger = dice.one_in(10).then(|| format!("i{}", dice.roll(4)));
    let instance_id = stranger.or_else(|| instance_id.map(str::to_owned)).filter(|_| !dice.one_in(10));
    let mut join = join(dice, &group.id, Some(group), Joiner::Known(seen), instance_id);
    let member = group.members.get(&member).filter(|_| dice.one_in(2));
    if let Some(member) = member {
        join.protocols = member.protocols.iter().map(|(name, bytes)| (name.to_string(), bytes.clone())).collect();
    }
    Some(join)
}

fn seen_of(group: &Group, member: MemberNumber) -> Option<SeenMember> {
    let watch = group.members.get(&member).map(|member| member.watch);
    let watch = watch.or_else(|| group.registered.get(&member).map(|registered| registered.watch))?;
    Some(SeenMember { member, watch_epoch: watch.epoch })
}

/// A member, or a registered one.
fn anybody(dice: &mut Dice, group: &Group) -> Option<SeenMember> {
    let member = dice.pick(group.members.keys().chain(group.registered.keys()).copied())?;
    seen_of(group, member)
}

/// The leader's Sync, as a rule.
fn sync(dice: &mut Dice, group: &Group, stamp_ms: i64) -> Option<SyncGroup> {
    let member = if dice.one_in(3) { anybody(dice, group)? } else { seen_of(group, group.leader?)? };
    let assignments = group.members.keys().map(|number| (*number, payload(dice))).collect();
    let generation = if dice.one_in(10) { group.generation - 1 } else { group.generation };
    Some(SyncGroup { group: group.number, member, generation, assignments: Some(assignments), stamp_ms })
}

fn leave(dice: &mut Dice, group: &Group, stamp_ms: i64) -> Option<LeaveGroup> {
    let mut members = vec![anybody(dice, group)?.member];
    if dice.one_in(5) {
        members = group.members.keys().copied().collect();
    } else if dice.one_in(4) {
        members.push(MemberNumber(dice.roll(9)));
    }
    Some(LeaveGroup { group: group.number, members, stamp_ms })
}

fn expire(dice: &mut Dice, group: &Group, stamp_ms: i64) -> Option<ExpireMember> {
    let member = anybody(dice, group)?;
    let watch = group.members.get(&member.member).map(|member| member.watch);
    let watch = watch.or_else(|| group.registered.get(&member.member).map(|registered| registered.watch))?;
    Some(ExpireMember { group: group.number, member, last_activity: watch.last_activity, stamp_ms })
}

fn complete(dice: &mut Dice, group: &Group, stamp_ms: i64) -> CompletePhase {
    let phase = if dice.one_in(8) { GroupPhase::PreparingRebalance } else { group.phase };
    let (generation, last_change) = (group.generation, group.last_change);
    CompletePhase { group: group.number, phase, generation, last_change, stamp_ms }
}

fn commit(dice: &mut Dice, seen: &State, name: &str, stamp_ms: i64) -> Option<CommitOffsets> {
    let group = seen.group(name);
    let member = group.and_then(|group| dice.pick(group.members.keys().copied()));
    let generation = group.map_or(0, |group| group.generation);
    let committer = member.map(|member| Committer::Member { member, generation });
    let mut topics = Vec::new();
    for topic in seen.topics() {
        let offsets = (0..1 + dice.roll(3)).map(|_| CommitOffset {
            partition: [0, 1, 100, 200, 201][dice.index(5)],
            offset: i64::try_from(dice.roll(1_000)).unwrap(),
            leader_epoch: 0,
            metadata: String::new(),
        });
        topics.push((topic.id, offsets.collect()));
    }
    Some(CommitOffsets {
        group: group.map_or_else(|| CommitGroup::New(name.to_owned()), |group| CommitGroup::Known(group.number)),
        committer: committer.filter(|_| !dice.one_in(8)).unwrap_or(Committer::Simple),
        known: seen.known(),
        exclusive: dice.one_in(3),
        committed_at_ms: stamp_ms,
        expires_at_ms: None,
        topics,
    })
}

fn delete_offsets(dice: &mut Dice, group: &Group) -> Option<DeleteOffsets> {
    let mut topics = Vec::new();
    if let Some(((topic_id, partition), stored)) = dice.pick(group.offsets.iter()) {
        let position: Option<Position> = dice.one_in(2).then_some(stored.position);
        topics.push((*topic_id, vec![(*partition, position)]));
    }
    let delete_empty_group = dice.one_in(2);
    Some(DeleteOffsets { group: group.number, last_change: group.last_change, topics, delete_empty_group })
}

/// Another gateway's session as a rule; sometimes the own one.
fn close_session(dice: &mut Dice, seen: &State, own: SessionId) -> Option<Command> {
    let may_be_own = dice.one_in(4);
    let session = dice.pick(seen.sessions().filter(|session| may_be_own || session.id != own))?;
    Some(Command::CloseSession { session: session.id, last_append: session.last_append })
}
