use super::*;

const fn waiting(generation: i32) -> JoinOutcome {
    JoinOutcome::Waiting { generation }
}

fn joined(outcome: GroupOutcome) -> JoinOutcome {
    let GroupOutcome::Joined { joined, .. } = outcome else { panic!("not joined: {outcome:?}") };
    joined
}

// Kafka's initial rebalance: the phase from Empty ends by time alone, whoever has joined.
#[test]
fn the_first_join_creates_the_group_and_waits_for_the_delay() {
    let mut s = Scenario::new();
    let (outcome, applied) = s.send(s.a, JoinGroup { initial_delay_ms: 3_000, ..s.new_join("m0") });
    let number = GroupNumber(0);
    assert_eq!(outcome, GroupOutcome::Joined { group: number, member: MemberNumber(0), joined: waiting(0) });
    assert_eq!(applied.groups, [number], "the phase changed");
    let group = s.group();
    assert_eq!(
        (group.phase, group.generation, group.leader),
        (GroupPhase::PreparingRebalance, 0, Some(MemberNumber(0)))
    );
    assert!(group.is_initial && group.has_all_joined());
    assert_eq!((group.initial_delay_ms, group.phase_began, group.phase_began_ms), (3_000, applied.position, 1_000));
    assert_eq!((group.last_change, group.protocol_type.as_deref()), (applied.position, Some("consumer")));
    assert_eq!(s.member("m0").joined_by, Some(s.a));
    let (outcome, applied) = s.send(s.b, s.new_join("m1"));
    assert_eq!(joined(outcome), waiting(0));
    assert!(applied.groups.is_empty(), "a Join that leaves the phase running");
    assert_eq!(s.complete(), GroupOutcome::PhaseCompleted);
    assert_eq!(s.at(), (GroupPhase::CompletingRebalance, 1));
    assert!(!s.group().is_initial && s.group().initial_delay_ms == 0);
}

// As Kafka with group.initial.rebalance.delay.ms = 0.
#[test]
fn without_a_delay_the_entry_of_the_first_join_ends_its_phase_whoever_is_registered() {
    let mut s = Scenario::new();
    assert_eq!(joined(s.run_a(s.register("m0"))), JoinOutcome::Registered);
    assert_eq!(joined(s.run_a(s.new_join("m1"))), waiting(0));
    assert_eq!(s.at(), (GroupPhase::CompletingRebalance, 1));
    let member = s.member("m1");
    assert_eq!((member.joined_by, s.group().joined), (None, 0));
    assert_eq!(s.group().protocol.as_deref(), Some("range"));
}

// Holds: T2 (the end of the phase is a member's last activity)
#[test]
fn the_end_of_a_phase_counts_as_activity_of_those_who_waited() {
    let mut s = Scenario::stable(&["m0", "m1"]);
    s.run_a(s.rejoin("m0"));
    let before = s.member("m0").watch.last_activity;
    s.run_a(s.rejoin("m1"));
    assert_eq!(s.at(), (GroupPhase::CompletingRebalance, 2));
    assert!(s.member("m0").watch.last_activity > before);
    assert_eq!(s.member("m0").watch.last_activity, s.replay.state.known());
}

// KIP-394: registered ones have an id, hold back the end of a phase, and are no members.
#[test]
fn a_registered_one_holds_back_the_phase_until_it_joins_under_its_number() {
    let mut s = Scenario::stable(&["m0"]);
    let (outcome, applied) = s.send(s.b, s.register("m1"));
    assert_eq!(joined(outcome), JoinOutcome::Registered);
    assert!(applied.groups.is_empty());
    assert_eq!((s.at(), s.group().members.len()), ((GroupPhase::Stable, 1), 1));
    assert_eq!(s.group().last_change, applied.position, "T7: it holds back a phase");
    let number = s.group().registered_by_id("m1").unwrap().number;
    assert!(s.group().member_by_id("m1").is_none());
    s.run_a(s.rejoin("m0"));
    assert_eq!(s.at(), (GroupPhase::PreparingRebalance, 1));
    assert!(!s.group().has_all_joined());
    let outcome = s.run_a(s.rejoin("m1"));
    assert_eq!(outcome, GroupOutcome::Joined { group: GroupNumber(0), member: number, joined: waiting(1) });
    assert_eq!(s.at(), (GroupPhase::CompletingRebalance, 2));
    assert!(s.group().registered.is_empty());
    // It was registered through another gateway: the Join took its watch over.
    assert_eq!((s.member("m1").watch.session, s.member("m1").watch.epoch), (s.a, 1));
}

#[test]
fn a_registered_one_that_joins_as_a_static_member_breaks_kafkas_rules() {
    let mut s = Scenario::stable(&["m0"]);
    s.run_a(s.register("m1"));
    let join = JoinGroup { instance_id: Some("i".to_owned()), ..s.rejoin("m1") };
    assert_eq!(s.run_a(join), refused(GroupRefusal::Malformed));
}

// Holds: I-06 (design section 8: the entry that makes all members joined ends the phase, through whichever gateway)
#[test]
fn a_newcomer_begins_a_phase_that_ends_with_the_last_join() {
    let mut s = Scenario::stable(&["m0", "m1"]);
    let (outcome, applied) = s.send(s.b, s.new_join("m2"));
    assert_eq!((joined(outcome), applied.groups.len()), (waiting(1), 1));
    assert_eq!(s.at(), (GroupPhase::PreparingRebalance, 1));
    assert!(s.member("m0").assignment.is_some(), "Kafka keeps them until the next Sync");
    let (_, applied) = s.send(s.a, s.rejoin("m0"));
    assert!(applied.groups.is_empty());
    let (outcome, applied) = s.send(s.b, s.rejoin("m1"));
    assert_eq!((joined(outcome), applied.groups.len()), (waiting(1), 1));
    assert_eq!(s.at(), (GroupPhase::CompletingRebalance, 2));
    assert_eq!(s.ids(), ["m0", "m1", "m2"]);
    assert_eq!(s.group().leader, Some(s.number("m0")));
}

#[test]
fn a_follower_with_the_same_protocols_hears_the_current_generation() {
    let mut s = Scenario::stable(&["m0", "m1"]);
    let change = s.group().last_change;
    let (outcome, applied) = s.send(s.b, JoinGroup { session_timeout_ms: 1, ..s.rejoin("m1") });
    assert_eq!(joined(outcome), JoinOutcome::Current { replaced: false });
    assert!(applied.groups.is_empty());
    assert_eq!((s.at(), s.group().last_change), ((GroupPhase::Stable, 1), change));
    let member = s.member("m1");
    let watch = Watch { session: s.b, epoch: 1, last_activity: applied.position };
    assert_eq!((member.watch, member.joined_by, member.session_timeout_ms), (watch, None, 10_000));
    // Order and metadata count as well as names.
    for list in [protocols(&["range", "sticky"]), vec![("range".to_owned(), text("others"))]] {
        let mut s = Scenario::stable(&["m0", "m1"]);
        assert_eq!(joined(s.run_a(JoinGroup { protocols: list, ..s.rejoin("m1") })), waiting(1));
        assert_eq!(s.at(), (GroupPhase::PreparingRebalance, 1));
    }
}

#[test]
fn the_leader_s_join_always_rebalances_a_stable_group() {
    let mut s = Scenario::stable(&["m0", "m1"]);
    assert_eq!(joined(s.run_a(s.rejoin("m0"))), waiting(1));
    assert_eq!(s.at(), (GroupPhase::PreparingRebalance, 1));
}

#[test]
fn while_assignments_are_awaited_only_other_protocols_rebalance() {
    let mut s = Scenario::completing(&["m0", "m1"]);
    for id in ["m0", "m1"] {
        assert_eq!(joined(s.run_a(s.rejoin(id))), JoinOutcome::Current { replaced: false });
    }
    assert_eq!(s.at(), (GroupPhase::CompletingRebalance, 1));
    let changed = JoinGroup { protocols: protocols(&["range", "sticky"]), ..s.rejoin("m1") };
    assert_eq!(joined(s.run_a(changed)), waiting(1));
    assert_eq!(s.at(), (GroupPhase::PreparingRebalance, 1));
}

#[test]
fn a_phase_begun_while_assignments_are_awaited_drops_the_old_ones() {
    let mut s = Scenario::stable(&["m0"]);
    s.run_a(s.rejoin("m0"));
    assert_eq!(s.at(), (GroupPhase::CompletingRebalance, 2));
    assert!(s.member("m0").assignment.is_some());
    s.run_a(s.new_join("m1"));
    assert_eq!(s.at(), (GroupPhase::PreparingRebalance, 2));
    assert!(s.member("m0").assignment.is_none());
}

#[test]
fn a_member_that_joins_again_during_the_phase_counts_once_and_moves_to_its_new_gateway() {
    let mut s = Scenario::stable(&["m0", "m1"]);
    s.run_a(s.rejoin("m1").clone_with(protocols(&["range", "x"])));
    assert_eq!((s.group().joined, s.member("m1").joined_by), (1, Some(s.a)));
    s.run_b(s.rejoin("m1"));
    assert_eq!((s.group().joined, s.member("m1").joined_by), (1, Some(s.b)));
    assert_eq!(s.replay.state.hosted(s.b).count(), 1);
    assert_eq!(s.replay.state.hosted(s.a).count(), 1, "m0");
}

impl JoinGroup {
    fn clone_with(&self, protocols: Vec<(String, Payload)>) -> Self {
        Self { protocols, ..self.clone() }
    }
}

fn selected(lists: &[&[&'static str]]) -> String {
    let mut s = Scenario::new();
    for (index, list) in lists.iter().enumerate() {
        let id = format!("m{index}");
        let join = JoinGroup { protocols: protocols(list), initial_delay_ms: 9, ..s.new_join(&id) };
        assert_eq!(joined(s.run_a(join)), waiting(0));
    }
    s.complete();
    s.group().protocol.as_deref().unwrap().to_owned()
}

// Kafka's vote; where its hash order decides a tie, here the leader's preference does (I-12).
#[test]
fn members_vote_for_a_protocol_that_all_support() {
    assert_eq!(selected(&[&["a", "b"], &["b", "a"], &["b", "a"]]), "b");
    assert_eq!(selected(&[&["c", "a", "b"], &["b", "a"], &["d", "a", "b"]]), "a", "c and d are not common");
    assert_eq!(selected(&[&["b", "a"], &["a", "b"]]), "b", "a tie");
    assert_eq!(selected(&[&["a", "b"], &["b", "a"]]), "a", "a tie");
    assert_eq!(selected(&[&["a", "a", "b"], &["b"]]), "b", "a name given twice is one protocol");
}

#[test]
fn protocols_that_are_not_common_are_refused() {
    let inconsistent = refused(GroupRefusal::InconsistentProtocol);
    let mut s = Scenario::new();
    assert_eq!(s.run_a(JoinGroup { protocols: Vec::new(), ..s.new_join("m0") }), inconsistent);
    assert_eq!(s.run_a(JoinGroup { protocol_type: String::new(), ..s.new_join("m0") }), inconsistent);
    assert_eq!(s.replay.state.group_count(), 0, "L11");
    let mut s = Scenario::stable(&["m0"]);
    assert_eq!(s.run_a(s.new_join("m1").clone_with(protocols(&["sticky"]))), inconsistent);
    assert_eq!(s.run_a(s.register("m1").clone_with(protocols(&["sticky"]))), inconsistent);
    assert_eq!(s.run_a(JoinGroup { protocol_type: "connect".to_owned(), ..s.new_join("m1") }), inconsistent);
    assert_eq!(s.run_a(s.rejoin("m0").clone_with(protocols(&["sticky"]))), inconsistent);
    // An empty group takes any protocol type.
    s.run_a(s.leave(&["m0"]));
    assert_eq!(s.group().protocol_type.as_deref(), Some("consumer"));
    s.run_a(JoinGroup { protocol_type: "connect".to_owned(), ..s.new_join("m1") });
    assert_eq!((s.group().protocol_type.as_deref(), s.group().generation), (Some("connect"), 3));
}

// Kafka's acceptJoiningMember.
#[test]
fn a_full_group_takes_members_but_no_newcomers() {
    let full = refused(GroupRefusal::GroupFull);
    let mut s = Scenario::stable(&["m0", "m1"]);
    let two = |join: JoinGroup| JoinGroup { max_size: 2, ..join };
    assert_eq!(s.run_a(two(s.new_join("m2"))), full);
    assert_eq!(s.run_a(two(s.register("m2"))), full);
    assert_eq!(joined(s.run_a(two(s.rejoin("m0")))), waiting(1));
    // While members join again, those who have joined count: the last to come are not taken.
    assert_eq!(joined(s.run_a(two(s.new_join("m2")))), waiting(1));
    assert_eq!(s.run_a(two(s.rejoin("m1"))), full);
    assert_eq!(joined(s.run_a(two(s.rejoin("m2")))), waiting(1), "it waits already");
    // An empty group is never full.
    let mut s = Scenario::new();
    assert_eq!(joined(s.run_a(JoinGroup { max_size: 0, ..s.new_join("m0") })), waiting(0));
}

#[test]
fn a_leader_that_did_not_join_again_loses_its_place_to_the_first_that_did() {
    let mut s = Scenario::stable(&["m0", "m1", "m2"]);
    s.run_a(s.rejoin("m2").clone_with(protocols(&["range", "x"])));
    s.run_a(s.rejoin("m1"));
    assert_eq!(s.complete(), GroupOutcome::PhaseCompleted);
    assert_eq!((s.ids(), s.group().leader), (vec!["m1".to_owned(), "m2".to_owned()], Some(s.number("m1"))));
}

#[test]
fn after_the_last_generation_comes_the_first() {
    let mut s = Scenario::stable(&["m0"]);
    let group = s.replay.state.groups.by_number.get_mut(&GroupNumber(0)).unwrap();
    Arc::make_mut(group).generation = i32::MAX;
    s.run_a(s.rejoin("m0"));
    assert_eq!(s.at(), (GroupPhase::CompletingRebalance, 1));
}
