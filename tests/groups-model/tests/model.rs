//! The model by itself, without a broker: what scripts reach, and the situations that are easy to get wrong.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, missing_docs)]

use std::collections::{BTreeMap, BTreeSet};

use sluice_group_model::generate::generate;
use sluice_group_model::manner::Manner;
use sluice_group_model::members::Phase;
use sluice_group_model::model::World;
use sluice_group_model::request::{Answer, Body, Commit, Group, Id, Request, Ticket, Topic};
use sluice_group_model::script::{Session, Step};

const GROUP: Group = Group::Live(0);

/// The worlds a request leads to, and what is answered in each.
type Outcomes = Vec<(World, BTreeMap<Ticket, Answer>)>;

/// One world at a time: where there are several, the test says which answer it wants to go on with.
struct Table {
    world: World,
    next: Ticket,
}

impl Table {
    fn new() -> Self {
        Self::in_the_manner_of(Manner::Kafka)
    }

    fn in_the_manner_of(manner: Manner) -> Self {
        Self { world: World::new(manner), next: 0 }
    }

    /// Sends a request; the answers of every world there is then.
    fn worlds(&mut self, version: i16, slot: u8, body: Body) -> (Ticket, Outcomes) {
        let ticket = self.next;
        self.next += 1;
        let worlds = self.world.clone().apply(ticket, &Request { version, slot, body });
        let settled = worlds.into_iter().flat_map(World::settle);
        (
            ticket,
            settled
                .map(|mut w| {
                    let answers = w.take_answers();
                    (w, answers)
                })
                .collect(),
        )
    }

    /// Sends a request that leads to one world; all answers that come.
    fn send(&mut self, version: i16, slot: u8, body: Body) -> (Ticket, BTreeMap<Ticket, Answer>) {
        let (ticket, mut worlds) = self.worlds(version, slot, body);
        assert_eq!(worlds.len(), 1, "{worlds:?}");
        let (world, answers) = worlds.remove(0);
        self.world = world;
        (ticket, answers)
    }

    fn phase(&self) -> Phase {
        self.world.state(GROUP).unwrap().phase
    }

    /// A group of so many dynamic members in generation 1 or later, Stable; their ids, the leader first.
    fn stable(members: u8) -> (Self, Vec<Id>) {
        let mut table = Self::new();
        let mut ids = Vec::new();
        for slot in 0..members {
            let (ticket, _) = table.send(3, slot, join(Id::Nobody, None, &["range"]));
            ids.push(Id::Of(ticket));
            for (slot, id) in (0..slot).zip(ids.clone()) {
                table.send(3, slot, join(id, None, &["range"]));
            }
        }
        let generation = i32::from(members);
        for (slot, id) in (0..members).zip(&ids) {
            table.send(4, slot, sync(*id, generation, &ids));
        }
        assert_eq!(table.phase(), Phase::Stable);
        (table, ids)
    }
}

fn join(id: Id, instance: Option<u8>, protocols: &[&'static str]) -> Body {
    let protocols = protocols.iter().map(|name| (*name, b"A".to_vec())).collect();
    Body::Join { group: GROUP, id, instance, session_ms: 10_000, kind: "consumer", protocols }
}

fn sync(id: Id, generation: i32, members: &[Id]) -> Body {
    let assignments = members.iter().map(|id| (*id, format!("{id:?}").into_bytes())).collect();
    Body::Sync { group: GROUP, generation, id, instance: None, kind: None, protocol: None, assignments }
}

fn heartbeat(id: Id, generation: i32) -> Body {
    Body::Heartbeat { group: GROUP, generation, id, instance: None }
}

fn commit(id: Id, generation: i32) -> Body {
    let commits = vec![Commit { topic: Topic::A, partition: 0, offset: 7, epoch: -1, metadata: None }];
    Body::Commit { group: GROUP, generation, id, instance: None, commits }
}

fn committed(answers: &BTreeMap<Ticket, Answer>, ticket: Ticket) -> i16 {
    match &answers[&ticket] {
        Answer::Commit(told) => told[0].2,
        other => panic!("{other:?}"),
    }
}

fn join_error(answer: &Answer) -> i16 {
    match answer {
        Answer::Join { error, .. } => *error,
        other => panic!("{other:?}"),
    }
}

#[test]
fn the_same_seed_gives_the_same_script() {
    for seed in 0..20 {
        assert_eq!(generate(seed, 60), generate(seed, 60), "seed {seed}");
    }
    assert_ne!(generate(1, 60), generate(2, 60));
}

/// Plays a script without a broker, in the first of its worlds, and shows every step's answers.
fn play(seed: u64, mut look: impl FnMut(&Session, &Step, &BTreeMap<Ticket, Answer>)) {
    let mut session = Session::default();
    for step in generate(seed, 60) {
        let worlds = match &step {
            Step::Ask(asks) => {
                let requests: Vec<_> = asks.iter().map(|ask| session.resolve(ask)).collect();
                session.predict(&requests)
            }
            Step::Expire(group, slot) => session.expired(*group, *slot).unwrap_or_else(|| session.worlds.clone()),
        };
        let world = worlds.into_iter().next().expect("a world");
        let answers = world.clone().take_answers();
        session.observe(vec![world], &answers);
        look(&session, &step, &answers);
    }
}

#[test]
fn groups_live_in_most_scripts() {
    let (mut stable, mut third, mut several, mut together, mut expired) = (0, 0, 0, 0, 0);
    for seed in 0..200 {
        let (mut was_stable, mut generations, mut most) = (false, 0, 0);
        play(seed, |session, step, _| {
            match step {
                Step::Ask(asks) => together += usize::from(asks.len() > 1),
                Step::Expire(..) => expired += 1,
            }
            for state in (0..2).filter_map(|n| session.worlds[0].state(Group::Live(n))) {
                was_stable |= state.phase == Phase::Stable;
                generations = generations.max(state.generation);
                most = most.max(state.members.len());
            }
        });
        stable += usize::from(was_stable);
        third += usize::from(generations >= 3);
        several += usize::from(most >= 3);
    }
    let reached =
        format!("{stable} stable, {third} third generation, {several} with three members, {together}, {expired}");
    assert!(stable >= 180 && third >= 150 && several >= 120 && together >= 500 && expired >= 10, "of 200: {reached}");
}

#[test]
fn scripts_hear_every_error_that_groups_know() {
    let mut heard: BTreeMap<&str, BTreeSet<i16>> = BTreeMap::new();
    for seed in 0..200 {
        play(seed, |_, _, answers| {
            for answer in answers.values() {
                let (name, errors): (&str, Vec<i16>) = match answer {
                    Answer::Join { error, .. } => ("Join", vec![*error]),
                    Answer::Sync { error, .. } => ("Sync", vec![*error]),
                    Answer::Heartbeat(error) => ("Heartbeat", vec![*error]),
                    Answer::Leave { error, members } => {
                        ("Leave", members.iter().map(|m| m.2).chain([*error]).collect())
                    }
                    Answer::Commit(told) => ("Commit", told.iter().map(|p| p.2).collect()),
                    Answer::Fetch(groups) => ("Fetch", groups.iter().flat_map(|g| g.2.iter().map(|p| p.5)).collect()),
                    Answer::DeleteOffsets { error, partitions } => {
                        ("DeleteOffsets", partitions.iter().map(|p| p.2).chain([*error]).collect())
                    }
                    Answer::Describe(groups) => ("Describe", groups.iter().map(|g| g.error).collect()),
                    Answer::List { error, .. } => ("List", vec![*error]),
                    Answer::Delete(groups) => ("Delete", groups.iter().map(|g| g.1).collect()),
                };
                heard.entry(name).or_default().extend(errors);
            }
        });
    }
    for (name, errors) in [
        ("Join", &[-1, 0, 23, 24, 25, 26, 79, 82][..]),
        ("Sync", &[0, 22, 23, 24, 25, 27, 82]),
        ("Heartbeat", &[0, 22, 24, 25, 27, 82]),
        ("Leave", &[0, 24, 25, 82]),
        ("Commit", &[0, 3, 12, 22, 25, 27, 69, 82, 100]),
        ("Fetch", &[0, 100]),
        ("DeleteOffsets", &[0, 3, 68, 69, 86]),
        ("Describe", &[0, 69]),
        ("List", &[0]),
        ("Delete", &[0, 68, 69]),
    ] {
        assert_eq!(heard[name], errors.iter().copied().collect(), "{name}");
    }
}

#[test]
fn a_heartbeat_is_refused_while_preparing_and_a_commit_while_completing() {
    let (mut table, ids) = Table::stable(2);
    let (ticket, answers) = table.send(3, 0, heartbeat(ids[1], 2));
    assert_eq!(answers[&ticket], Answer::Heartbeat(0));
    table.send(3, 0, join(ids[0], None, &["range"]));
    let (ticket, answers) = table.send(3, 1, heartbeat(ids[1], 2));
    assert_eq!(answers[&ticket], Answer::Heartbeat(27));
    let (ticket, answers) = table.send(3, 1, commit(ids[1], 2));
    assert_eq!(committed(&answers, ticket), 0);
    table.send(3, 1, join(ids[1], None, &["range"]));
    assert_eq!(table.phase(), Phase::Completing);
    let (ticket, answers) = table.send(3, 1, heartbeat(ids[1], 3));
    assert_eq!(answers[&ticket], Answer::Heartbeat(0));
    let (ticket, answers) = table.send(3, 1, commit(ids[1], 3));
    assert_eq!(committed(&answers, ticket), 27);
}

#[test]
fn commits_from_outside_are_taken_only_while_nobody_is_in() {
    let mut table = Table::new();
    let (ticket, answers) = table.send(8, 0, commit(Id::Nobody, -1));
    assert_eq!(committed(&answers, ticket), 0);
    let (mut table, ids) = Table::stable(1);
    for (id, generation, error) in [(Id::Nobody, -1, 25), (ids[0], -1, 22), (Id::Bogus, 1, 25), (ids[0], 2, 22)] {
        let (ticket, answers) = table.send(8, 0, commit(id, generation));
        assert_eq!(committed(&answers, ticket), error, "{id:?} {generation}");
    }
}

#[test]
fn a_static_member_that_restarts_causes_no_rebalance() {
    for (version, told_leader) in [(8, true), (9, false)] {
        let mut table = Table::new();
        let (first, _) = table.send(9, 0, join(Id::Nobody, Some(0), &["range"]));
        table.send(5, 0, {
            let mut body = sync(Id::Of(first), 1, &[Id::Of(first)]);
            if let Body::Sync { kind, protocol, .. } = &mut body {
                (*kind, *protocol) = (Some("consumer"), Some("range"));
            }
            body
        });
        let (again, answers) = table.send(version, 0, join(Id::Nobody, Some(0), &["range"]));
        assert_eq!(table.phase(), Phase::Stable);
        let Answer::Join { generation, leader, skip, id, members, .. } = &answers[&again] else { panic!() };
        assert_eq!((*generation, *id), (1, Id::Of(again)));
        assert_eq!(*leader == Id::Of(first), told_leader, "before version 9 the leader is the id it had");
        assert_eq!((*skip, members.len()), if told_leader { (false, 0) } else { (true, 1) });
        // The old id is fenced where the instance id is sent along, and unknown where it is not.
        let (ticket, answers) = table.send(3, 0, heartbeat(Id::Of(first), 1));
        assert_eq!(answers[&ticket], Answer::Heartbeat(25));
        let mut body = heartbeat(Id::Of(first), 1);
        if let Body::Heartbeat { instance, .. } = &mut body {
            *instance = Some(0);
        }
        let (ticket, answers) = table.send(3, 0, body);
        assert_eq!(answers[&ticket], Answer::Heartbeat(82));
    }
}

#[test]
fn a_rebalance_waits_for_everybody_who_has_not_left() {
    let (mut table, ids) = Table::stable(3);
    let (join_ticket, answers) = table.send(3, 0, join(ids[0], None, &["range"]));
    assert!(!answers.contains_key(&join_ticket));
    assert_eq!(table.phase(), Phase::Preparing { first: false });
    // Two leave: the last one that waits is the group.
    table.send(3, 1, Body::Leave { group: GROUP, members: vec![(ids[1], None)] });
    let (_, answers) = table.send(3, 2, Body::Leave { group: GROUP, members: vec![(ids[2], None)] });
    assert_eq!(join_error(&answers[&join_ticket]), 0);
}

#[test]
fn after_the_leader_left_any_member_may_lead() {
    let (mut table, ids) = Table::stable(3);
    table.send(3, 0, Body::Leave { group: GROUP, members: vec![(ids[0], None)] });
    table.send(3, 1, join(ids[1], None, &["range"]));
    let (ticket, worlds) = table.worlds(3, 2, join(ids[2], None, &["range"]));
    let leader = |answers: &BTreeMap<Ticket, Answer>| match &answers[&ticket] {
        Answer::Join { leader, .. } => *leader,
        other => panic!("{other:?}"),
    };
    let leaders: Vec<Id> = worlds.iter().map(|(_, answers)| leader(answers)).collect();
    assert_eq!(leaders, [ids[1], ids[2]]);
}

#[test]
fn a_tie_between_protocols_may_go_either_way_and_a_majority_may_not() {
    let chosen = |lists: [&[&'static str]; 3]| {
        let mut table = Table::new();
        let mut ids = Vec::new();
        let mut protocols = Vec::new();
        for (slot, list) in (0..3).zip(lists) {
            let (ticket, mut worlds) = table.worlds(3, slot, join(Id::Nobody, None, list));
            table.world = worlds.remove(0).0;
            ids.push((slot, Id::Of(ticket), list));
            for (slot, id, list) in ids.clone().iter().take(usize::from(slot)) {
                let (_, mut worlds) = table.worlds(3, *slot, join(*id, None, list));
                protocols = worlds.iter().map(|(w, _)| w.state(GROUP).unwrap().protocol.unwrap_or("none")).collect();
                table.world = worlds.remove(0).0;
            }
        }
        protocols
    };
    assert_eq!(chosen([&["range", "sticky"], &["range", "sticky"], &["sticky", "range"]]), ["range"]);
    let three_ways =
        chosen([&["range", "sticky", "other"], &["sticky", "range", "other"], &["other", "range", "sticky"]]);
    assert_eq!(three_ways, ["other", "range", "sticky"]);
}

#[test]
fn requests_sent_together_may_be_taken_in_any_order() {
    let mut session = Session::default();
    let body = |slot: u8| Request { version: 3, slot, body: join(Id::Nobody, None, &["range"]) };
    let worlds = session.predict(&[(0, body(0)), (1, body(1))]);
    // Both in the first generation, led by either; or the first of them alone in it, and then a rebalance.
    assert_eq!(worlds.len(), 4);
    let answered: Vec<usize> = worlds.iter().map(|w| w.clone().take_answers().len()).collect();
    assert_eq!(answered.iter().sum::<usize>(), 6);
    session.worlds = worlds;
}

/// The differences of docs/differences.md are allowed to Sluice alone.
#[test]
fn only_a_join_that_is_refused_by_kafka_leaves_a_group_behind() {
    for (manner, is_there) in [(Manner::Kafka, true), (Manner::Sluice, false)] {
        let mut table = Table::in_the_manner_of(manner);
        let (ticket, answers) = table.send(7, 0, join(Id::Nobody, None, &[]));
        assert_eq!(join_error(&answers[&ticket]), 23);
        assert_eq!(table.world.state(GROUP).is_some(), is_there, "{manner:?}");
    }
}

#[test]
fn a_rebalance_that_nobody_is_left_in_may_end_in_the_manner_of_sluice_only() {
    for (manner, worlds) in [(Manner::Kafka, 1), (Manner::Sluice, 2)] {
        let mut table = Table::in_the_manner_of(manner);
        let (first, _) = table.send(3, 0, join(Id::Nobody, None, &["range"]));
        // The id that is given out keeps the next rebalance from completing.
        table.send(4, 1, join(Id::Nobody, None, &["range"]));
        table.send(3, 0, join(Id::Of(first), None, &["other", "range"]));
        table.send(3, 0, Body::Leave { group: GROUP, members: vec![(Id::Of(first), None)] });
        assert_eq!(table.world.clone().drift().len(), worlds, "{manner:?}");
    }
}
