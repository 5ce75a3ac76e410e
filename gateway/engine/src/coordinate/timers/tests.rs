//! Timers over a State that real commands made; time is a number here.

use sluice_metadata::{
    Entry, GroupOutcome, Identity, Incarnation, JoinGroup, JoinOutcome, Joiner, LeaveGroup, Outcome, TakeOver,
};

use sluice_runtime::{Entropy, SeededEntropy};

use super::super::watch::{Activity, Waits};
use super::*;

const fn secs(secs: u64) -> Duration {
    Duration::from_secs(secs)
}

struct World {
    state: State,
    timers: Timers,
    local: Local,
    news: WatchNews,
    own: SessionId,
    other: SessionId,
    now: Duration,
    limits: Limits,
}

impl World {
    /// Two gateways; the timers are those of the first.
    fn new() -> Self {
        let none = SessionId(Position::ZERO);
        let mut world = Self {
            state: State::new(Incarnation(1)),
            timers: Timers::default(),
            local: Local::default(),
            news: WatchNews::default(),
            own: none,
            other: none,
            now: secs(0),
            limits: Limits::default(),
        };
        (world.own, world.other) = (world.open(1), world.open(2));
        world
    }

    fn apply(&mut self, session: SessionId, command: Command) -> Outcome {
        let sequence = self.state.session(session).unwrap().last_sequence + 1;
        let identity = Some(Identity { session, sequence });
        let entry = Entry { known: self.state.known(), hash_at_known: self.state.hash(), commands: vec![command] };
        let mut applied = self.state.apply(self.state.known().next(), identity, Some(&entry)).unwrap();
        let mut news = WatchNews::default();
        news.note(&self.state, &entry, &applied, session == self.own);
        self.news.extend(news, self.limits.watch_backlog_max);
        applied.outcomes.remove(0)
    }

    fn join_command(&self, name: &str, initial_delay_ms: u32, joiner: Joiner) -> JoinGroup {
        let seen = self.state.group("g").map(|group| (group.number, group.generation));
        JoinGroup {
            group_id: "g".into(),
            seen,
            joiner,
            seen_instance: None,
            instance_id: None,
            client_id: name.into(),
            client_host: String::new(),
            session_timeout_ms: 10_000,
            rebalance_timeout_ms: 7_000,
            protocol_type: "consumer".into(),
            protocols: vec![("range".into(), sluice_metadata::Payload::Inline(bytes::Bytes::new()))],
            initial_delay_ms,
            max_size: u32::MAX,
            stamp_ms: 0,
        }
    }

    fn join(&mut self, session: SessionId, name: &str, initial_delay_ms: u32, joiner: Joiner) -> MemberNumber {
        let command = self.join_command(name, initial_delay_ms, joiner);
        match self.apply(session, Command::Group(GroupCommand::Join(command))) {
            Outcome::Group(GroupOutcome::Joined { member, joined, .. }) => {
                assert!(!matches!(joined, JoinOutcome::Registered));
                member
            }
            other => panic!("{other:?}"),
        }
    }

    /// A Join whose outcome does not matter.
    fn propose_join(&mut self, session: SessionId, joiner: Joiner) {
        let command = self.join_command("any", 0, joiner);
        self.apply(session, Command::Group(GroupCommand::Join(command)));
    }

    fn open(&mut self, nonce: u128) -> SessionId {
        let (feature_level, opened_at_ms) = (sluice_metadata::limits::FEATURE_LEVEL, 0);
        let open = Command::OpenSession { nonce, feature_level, opened_at_ms, name: String::new() };
        let entry = Entry { known: self.state.known(), hash_at_known: self.state.hash(), commands: vec![open] };
        SessionId(self.state.apply(self.state.known().next(), None, Some(&entry)).unwrap().position)
    }

    fn new_member(&mut self, session: SessionId, name: &str, initial_delay_ms: u32) -> MemberNumber {
        let joiner = Joiner::New { member_id: name.into(), register_only: false };
        self.join(session, name, initial_delay_ms, joiner)
    }

    fn group(&self) -> &Group {
        self.state.group("g").unwrap()
    }

    fn watch_of(&self, member: MemberNumber) -> Watch {
        self.group().members[&member].watch
    }

    fn take_over(&mut self, session: SessionId, member: MemberNumber) {
        let member = SeenMember { member, watch_epoch: self.watch_of(member).epoch };
        let taken = TakeOver { group: self.group().number, member };
        let outcome = self.apply(session, Command::Group(GroupCommand::TakeOver(taken)));
        assert_eq!(outcome, Outcome::Group(GroupOutcome::TookOver));
    }

    /// Looks, and says what is proposed.
    fn look(&mut self, room: usize) -> Vec<Command> {
        let scene = Scene {
            state: &self.state,
            own: Some(self.own),
            now: self.now,
            stamp_ms: 0,
            limits: &self.limits,
            defects: Defects::default(),
        };
        self.timers.observe(&scene, std::mem::take(&mut self.news), &mut self.local);
        self.timers.take_due(&scene, &self.local, room).into_iter().map(|proposal| proposal.command).collect()
    }

    fn expiries(&mut self) -> Vec<ExpireMember> {
        let expiry = |command| match command {
            Command::Group(GroupCommand::ExpireMember(expire)) => Some(expire),
            _ => None,
        };
        self.look(usize::MAX).into_iter().filter_map(expiry).collect()
    }

    fn completions(&mut self) -> usize {
        let is_completion = |c: &Command| matches!(c, Command::Group(GroupCommand::CompletePhase(_)));
        self.look(usize::MAX).iter().filter(|command| is_completion(command)).count()
    }

    /// The member was heard of here, and has synced generation 1.
    fn note(&mut self, member: MemberNumber, at: Duration) {
        let key = (self.group().number, member);
        self.local.activity.insert(key, Activity { at, synced: Some(1) });
    }

    fn subject(&self, member: MemberNumber) -> Subject {
        Subject::Member(self.group().number, member)
    }
}

// Holds: T2, T7
#[test]
fn an_expiry_names_the_activity_that_was_watched_and_a_dropped_one_begins_anew() {
    let mut world = World::new();
    let member = world.new_member(world.own, "m", 0);
    world.note(member, secs(0));
    assert_eq!(world.expiries(), []);
    world.now = Duration::from_millis(9_999);
    assert_eq!(world.expiries(), []);
    world.now = secs(10);
    let [expire] = world.expiries().try_into().unwrap();
    let watch = world.watch_of(member);
    assert_eq!((expire.member.member, expire.member.watch_epoch), (member, watch.epoch));
    assert_eq!(expire.last_activity, watch.last_activity);
    world.now = secs(15);
    assert_eq!(world.expiries(), [], "it is proposed once");
    world.timers.on_verdict(world.subject(member), Verdict::Dropped, world.now);
    world.now = Duration::from_millis(24_999);
    assert_eq!(world.expiries(), [], "the timer began anew");
    world.now = secs(25);
    assert_eq!(world.expiries().len(), 1);
    world.timers.on_verdict(world.subject(member), Verdict::Failed, world.now);
    world.now = secs(26);
    assert_eq!(world.expiries().len(), 1, "what the log did not take is proposed again");
}

// Holds: T2, T7
#[test]
fn a_member_that_was_taken_over_is_no_longer_watched_and_begins_anew_when_it_comes_back() {
    let mut world = World::new();
    let member = world.new_member(world.own, "m", 0);
    world.now = secs(8);
    assert_eq!(world.expiries(), []);
    world.take_over(world.other, member);
    world.now = secs(30);
    assert_eq!(world.expiries(), []);
    assert!(!world.timers.are_running());
    world.take_over(world.own, member);
    assert_eq!(world.expiries(), []);
    // T6: the other gateway may have answered it until 2 s after that.
    world.now = Duration::from_millis(41_999);
    assert_eq!(world.expiries(), []);
    world.now = secs(42);
    assert_eq!(world.expiries()[0].member.watch_epoch, 2);
}

// Holds: T2, T6
#[test]
fn a_heartbeat_that_the_gateway_before_answered_from_a_state_of_two_seconds_ago_is_not_lost() {
    let mut world = World::new();
    let moved = world.new_member(world.other, "m", 0);
    world.take_over(world.own, moved);
    assert_eq!(world.expiries(), []);
    // Heard there at 1.9 s by a gateway that did not know better: its ten seconds are over at 11.9 s.
    world.now = Duration::from_millis(11_900);
    assert_eq!(world.expiries(), []);
    // Heard here later than that could be: not a moment more than its session timeout.
    world.note(moved, secs(3));
    world.now = Duration::from_millis(12_999);
    assert_eq!(world.expiries(), []);
    world.now = secs(13);
    assert_eq!(world.expiries().len(), 1);
}

// Holds: T2, T6
#[test]
fn who_was_heard_of_by_a_gateway_that_did_not_know_of_its_end_is_not_expired_early() {
    let mut world = World::new();
    world.new_member(world.other, "m", 0);
    let last_append = world.state.session(world.other).unwrap().last_append;
    world.apply(world.own, Command::CloseSession { session: world.other, last_append });
    assert_eq!(world.expiries(), []);
    world.now = Duration::from_millis(11_999);
    assert_eq!(world.expiries(), []);
    world.now = secs(12);
    assert_eq!(world.expiries().len(), 1);
}

// Holds: T2
#[test]
fn a_heartbeat_that_came_before_the_look_counts() {
    let mut world = World::new();
    let member = world.new_member(world.own, "m", 0);
    world.look(usize::MAX);
    world.note(member, secs(9));
    world.now = Duration::from_millis(18_999);
    assert_eq!(world.expiries(), []);
    world.now = secs(19);
    assert_eq!(world.expiries().len(), 1);
    let leave = LeaveGroup { group: world.group().number, members: vec![member], stamp_ms: 0 };
    world.apply(world.own, Command::Group(GroupCommand::Leave(leave)));
    world.look(usize::MAX);
    assert!(world.local.activity.is_empty(), "of a member that is gone nothing is remembered");
}

// Holds: T1, T2
#[test]
fn a_session_is_closed_at_the_append_that_was_watched_and_later_by_those_of_higher_rank() {
    let mut world = World::new();
    world.new_member(world.other, "m", 0);
    let last_append = world.state.session(world.other).unwrap().last_append;
    assert_eq!(world.look(usize::MAX), []);
    world.now = Duration::from_millis(14_999);
    assert_eq!(world.look(usize::MAX), []);
    world.now = secs(15);
    assert_eq!(world.look(usize::MAX), [Command::CloseSession { session: world.other, last_append }]);

    let mut world = World::new();
    std::mem::swap(&mut world.own, &mut world.other);
    world.new_member(world.other, "m", 0);
    world.look(usize::MAX);
    world.now = secs(15);
    assert_eq!(world.look(usize::MAX), [], "the own session is the second");
    world.now += world.limits.proposal_stagger;
    assert_eq!(world.look(usize::MAX).len(), 1);
}

#[test]
fn new_members_bring_another_window_at_most_until_the_rebalance_timeout() {
    let mut world = World::new();
    world.new_member(world.own, "a", 3_000);
    let group = world.group().number;
    world.local.joins.insert(group, 1);
    assert_eq!(world.completions(), 0);
    world.now = secs(2);
    world.new_member(world.own, "b", 3_000);
    world.now = secs(3);
    assert_eq!(world.completions(), 0, "b came in the first window");
    world.now = secs(5);
    world.new_member(world.own, "c", 3_000);
    world.now = secs(6);
    assert_eq!(world.completions(), 0, "c came in the second");
    world.now = Duration::from_millis(6_999);
    world.new_member(world.own, "d", 3_000);
    assert_eq!(world.completions(), 0);
    world.now = secs(7);
    assert_eq!(world.completions(), 1, "the rebalance timeout is over, whoever came");
}

// As Kafka, whose delayed join is timed when the rebalance begins; but a member that comes later with a longer timeout is given
// it (docs/differences.md).
#[test]
fn a_rebalance_takes_at_least_as_long_as_its_members_allowed_when_it_began() {
    for (allowed_ms, ends) in [(1_000, 7), (9_000, 9)] {
        let mut world = World::new();
        let first = world.new_member(world.own, "a", 0);
        world.new_member(world.own, "b", 0);
        assert_eq!(world.completions(), 0, "a has to join again");
        let leave = LeaveGroup { group: world.group().number, members: vec![first], stamp_ms: 0 };
        let joiner = Joiner::New { member_id: "c".into(), register_only: true };
        let pending = world.join_command("c", 0, joiner);
        world.apply(world.own, Command::Group(GroupCommand::Join(pending)));
        world.apply(world.own, Command::Group(GroupCommand::Leave(leave)));
        let member = world.group().member_by_id("b").unwrap().number;
        let seen = SeenMember { member, watch_epoch: world.watch_of(member).epoch };
        let again = world.join_command("b", 0, Joiner::Known(seen));
        let again = JoinGroup { rebalance_timeout_ms: allowed_ms, ..again };
        world.apply(world.own, Command::Group(GroupCommand::Join(again)));
        assert_eq!(world.group().rebalance_timeout_ms(), allowed_ms, "a is gone, c has only its id");
        world.now = secs(ends) - Duration::from_millis(1);
        assert_eq!(world.completions(), 0, "{allowed_ms}");
        world.now = secs(ends);
        assert_eq!(world.completions(), 1, "{allowed_ms}");
    }
}

// Holds: T7
#[test]
fn who_neither_waits_for_a_phase_nor_has_a_part_in_it_does_not_propose_its_end() {
    let mut world = World::new();
    world.new_member(world.other, "a", 3_000);
    world.look(usize::MAX);
    world.now = secs(60);
    assert_eq!(world.completions(), 0, "the other gateway does");
    let group = world.group().number;
    world.local.joins.insert(group, 1);
    world.local.began_waiting.insert(group);
    assert_eq!(world.completions(), 1, "somebody waits now, and its time is long over");
}

// Holds: T7 (the clients may be gone: their Joins do not wait any more, and they count as joined all the same)
#[test]
fn the_gateway_of_a_member_proposes_the_end_of_its_phase_though_no_join_waits() {
    let mut world = World::new();
    world.new_member(world.own, "a", 3_000);
    assert_eq!(world.completions(), 0);
    world.now = secs(3);
    assert_eq!(world.completions(), 1);
    // A rebalance that only another gateway's member has joined, and that of this one does not join.
    let mut world = World::new();
    world.new_member(world.own, "a", 0);
    world.new_member(world.other, "b", 0);
    let group = world.group();
    assert_eq!((group.phase, group.joined), (GroupPhase::PreparingRebalance, 1));
    assert_eq!(world.completions(), 0);
    world.now = secs(7) + world.limits.completion_stagger;
    assert_eq!(world.completions(), 1, "the rebalance timeout is over");
    // It gets a part in the phase by a take-over alone.
    let mut world = World::new();
    let member = world.new_member(world.other, "a", 3_000);
    assert_eq!(world.completions(), 0);
    world.take_over(world.own, member);
    world.now = secs(7) + world.limits.completion_stagger;
    assert_eq!(world.completions(), 1);
}

// Holds: T7
#[test]
fn a_phase_that_only_static_members_could_lead_is_looked_at_and_not_proposed() {
    let mut world = World::new();
    let mut join = world.join_command("s", 0, Joiner::New { member_id: "s".into(), register_only: false });
    (join.instance_id, join.session_timeout_ms) = (Some("i".into()), 600_000);
    world.apply(world.own, Command::Group(GroupCommand::Join(join)));
    let dynamic = world.new_member(world.own, "d", 0);
    let leave = LeaveGroup { group: world.group().number, members: vec![dynamic], stamp_ms: 0 };
    world.apply(world.own, Command::Group(GroupCommand::Leave(leave)));
    let group = world.group();
    assert_eq!((group.phase, group.joined, group.members.len()), (GroupPhase::PreparingRebalance, 0, 1));
    for at in [1, 7, 8, 14, 15] {
        world.now = secs(at);
        assert_eq!(world.completions(), 0, "apply would refuse it");
    }
    // Its time began anew with every look that found it over, as in Kafka.
    world.new_member(world.own, "e", 0);
    assert_eq!(world.completions(), 0);
    world.now = secs(22);
    assert_eq!(world.completions(), 1);
}

// Holds: T2
#[test]
fn a_member_whose_sync_waits_is_not_silent_and_begins_anew_with_its_answer() {
    let mut world = World::new();
    let member = world.new_member(world.own, "m", 0);
    let group = world.group().number;
    world.note(member, secs(1));
    assert_eq!(world.expiries(), []);
    world.local.begin_wait(group, Waits::Sync(member));
    for at in [9, 11, 25, 36] {
        world.now = secs(at);
        assert_eq!(world.expiries(), [], "{at}");
    }
    world.local.end_wait(group, Waits::Sync(member), secs(36));
    assert!(world.local.syncing.is_empty() && world.local.syncs.is_empty());
    world.now = Duration::from_millis(45_999);
    assert_eq!(world.expiries(), []);
    world.now = secs(46);
    assert_eq!(world.expiries().len(), 1);
}

// Holds: T2 (Kafka's pending sync; found by the simulation of groups, seed 380 of its day)
#[test]
fn a_member_that_was_elsewhere_and_came_back_between_two_looks_may_have_synced_there() {
    let mut world = World::new();
    let member = world.new_member(world.own, "m", 0);
    assert_eq!(world.expiries(), []);
    let (group, generation) = (world.group().number, world.group().generation);
    let seen = SeenMember { member, watch_epoch: world.watch_of(member).epoch };
    let assignments = Some(Vec::new());
    let sync = sluice_metadata::SyncGroup { group, member: seen, generation, assignments, stamp_ms: 0 };
    world.apply(world.other, Command::Group(GroupCommand::Sync(sync)));
    world.take_over(world.own, member);
    world.now = secs(1);
    assert_eq!(world.expiries(), []);
    // Later than the rebalance timeout of 7 s, before the session timeout of 10 s.
    world.now = secs(12);
    assert_eq!(world.expiries(), []);
    world.now = secs(13);
    assert_eq!(world.expiries().len(), 1);
}

// Holds: T2 (Kafka's pending sync, and the session timeout that begins anew with the generation)
#[test]
fn a_static_member_that_did_not_join_again_is_expected_to_sync_like_any_other() {
    let mut world = World::new();
    let mut join = world.join_command("s", 0, Joiner::New { member_id: "s".into(), register_only: false });
    (join.instance_id, join.session_timeout_ms) = (Some("i".into()), 20_000);
    world.apply(world.own, Command::Group(GroupCommand::Join(join)));
    let absent = *world.group().members.keys().next().unwrap();
    world.now = secs(1);
    world.new_member(world.own, "d", 0);
    world.look(0);
    world.now = secs(8);
    let Group { number: group, phase, generation, last_change, .. } = *world.group();
    let complete = CompletePhase { group, phase, generation, last_change, stamp_ms: 0 };
    world.apply(world.own, Command::Group(GroupCommand::CompletePhase(complete)));
    assert_eq!((world.group().generation, world.group().members.len()), (2, 2));
    world.look(0);
    world.local.activity.insert((group, absent), Activity { at: secs(14), synced: Some(1) });
    world.now = Duration::from_millis(14_999);
    let is_absent = |expire: &ExpireMember| expire.member.member == absent;
    assert!(!world.expiries().iter().any(is_absent));
    world.now = secs(15);
    assert!(world.expiries().iter().any(is_absent), "the rebalance timeout after the generation began");
}

// Holds: T7
#[test]
fn a_completion_that_is_dropped_is_proposed_with_what_state_shows_now() {
    let mut world = World::new();
    std::mem::swap(&mut world.own, &mut world.other);
    world.new_member(world.other, "a", 3_000);
    let group = world.group().number;
    world.local.joins.insert(group, 1);
    world.look(usize::MAX);
    world.now = secs(3);
    assert_eq!(world.completions(), 0, "a session of lower rank takes part in the group");
    let stagger = world.limits.completion_stagger;
    world.now += stagger;
    assert_eq!(world.completions(), 1);
    world.new_member(world.other, "b", 3_000);
    world.timers.on_verdict(Subject::Phase(group), Verdict::Dropped, world.now);
    assert_eq!(world.completions(), 0, "b is new: another window");
    world.now = secs(6) + stagger;
    assert_eq!(world.completions(), 1);
    // Nothing came between, and still it could not be completed (only static members are left): its time begins anew.
    world.timers.on_verdict(Subject::Phase(group), Verdict::Dropped, world.now);
    assert_eq!(world.completions(), 0);
    world.now += secs(3);
    assert_eq!(world.completions(), 0);
}

// Holds: I-14
#[test]
fn a_thousand_members_are_proposed_piece_by_piece_and_found_again_after_a_jump() {
    let mut world = World::new();
    world.limits.watch_backlog_max = 100;
    for index in 0..1_000 {
        world.new_member(world.other, &format!("m{index}"), 3_000);
    }
    assert!(world.news.members.len() <= 100 && world.news.everything);
    assert_eq!(world.look(64), []);
    let last_append = world.state.session(world.other).unwrap().last_append;
    let closed = world.apply(world.own, Command::CloseSession { session: world.other, last_append });
    assert!(matches!(closed, Outcome::SessionClosed { .. }));
    assert_eq!(world.look(64), []);
    world.now = secs(13);
    assert_eq!(world.look(64).len(), 64);
    assert_eq!(world.look(0).len(), 0);
    // A gateway that lost count looks at everything, and keeps since when it watches whom.
    world.news.everything = true;
    assert_eq!(world.look(1_000).len(), 1_000 - 64);
}

/// What is watched, without since when.
type Watched = (Vec<(GroupNumber, MemberNumber)>, Vec<(GroupNumber, GroupPhase, Position)>, Vec<Subject>);

fn watched(timers: &Timers) -> Watched {
    let phases = timers.phases.iter().map(|(group, timer)| (*group, timer.phase, timer.began));
    (timers.members.keys().copied().collect(), phases.collect(), timers.scheduled.keys().copied().collect())
}

/// Does something at random, if it can be done.
fn step(world: &mut World, entropy: &SeededEntropy, name: usize) {
    let session = if entropy.next_below(2) == 0 { world.own } else { world.other };
    if world.state.session(session).is_none() {
        return;
    }
    let group = world.state.group("g").cloned();
    let numbers = group.iter().flat_map(|group| group.members.keys().chain(group.registered.keys()));
    let numbers: Vec<MemberNumber> = numbers.copied().collect();
    let pick = usize::try_from(entropy.next_below(numbers.len().max(1) as u64)).unwrap();
    let picked = group.as_ref().zip(numbers.get(pick).copied());
    let seen = picked
        .and_then(|(group, member)| Some(SeenMember { member, watch_epoch: subjected(group, member)?.watch.epoch }));
    match (entropy.next_below(8), picked, seen) {
        (0 | 1, _, _) => {
            let register_only = entropy.next_below(2) == 0;
            let joiner = Joiner::New { member_id: format!("m{name}"), register_only };
            world.propose_join(session, joiner);
        }
        (2 | 3, Some(_), Some(seen)) => world.propose_join(session, Joiner::Known(seen)),
        (4, Some((group, _)), Some(member)) => {
            let taken = TakeOver { group: group.number, member };
            world.apply(session, Command::Group(GroupCommand::TakeOver(taken)));
        }
        (5, Some((group, member)), _) => {
            let leave = LeaveGroup { group: group.number, members: vec![member], stamp_ms: 0 };
            world.apply(session, Command::Group(GroupCommand::Leave(leave)));
        }
        (6, Some((group, _)), Some(member)) => {
            let (group, generation) = (group.number, group.generation);
            let assignments = Some(Vec::new());
            let sync = sluice_metadata::SyncGroup { group, member, generation, assignments, stamp_ms: 0 };
            world.apply(session, Command::Group(GroupCommand::Sync(sync)));
        }
        (7, _, _) if entropy.next_below(4) == 0 && session == world.own => {
            if let Some(last_append) = world.state.session(world.other).map(|other| other.last_append) {
                world.apply(session, Command::CloseSession { session: world.other, last_append });
                world.other = world.open(100 + name as u128);
            }
        }
        _ => {}
    }
}

// Holds: T2, I-14
#[test]
fn what_is_learnt_from_news_is_what_a_look_at_everything_shows() {
    for seed in 0..200 {
        let (mut world, entropy) = (World::new(), SeededEntropy::new(seed));
        for name in 0..60 {
            step(&mut world, &entropy, name);
            if entropy.next_below(3) > 0 {
                continue;
            }
            world.look(0);
            let learnt = std::mem::take(&mut world.timers);
            world.news.everything = true;
            world.look(0);
            assert_eq!(watched(&learnt), watched(&world.timers), "seed {seed}, step {name}");
            world.timers = learnt;
        }
    }
}
