//! JoinGroup, SyncGroup, Heartbeat, LeaveGroup over two gateways.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use sluice_engine::{Defects, EngineError, Joined, LeaveAsk, Limits, MemberClaim, Origin, Settings};
use sluice_metadata::GroupPhase;
use sluice_store::{ByteRange, Faults, ObjectStore, OperationFaults, PutOptions};
use tokio::time::Instant;

use super::members::{Link, claim, hasty, is_now_not, join_ask, pair, settle, static_ask, sync_ask};
use super::support::{Cluster, Gateway};

/// Every operation of the class is refused.
fn refused() -> OperationFaults {
    OperationFaults { refused_per_mille: 1000, ..OperationFaults::default() }
}

// Holds: I-06
#[tokio::test(start_paused = true)]
async fn a_member_joins_on_one_gateway_syncs_on_another_and_is_heard_on_both() {
    let mut cluster = Cluster::new();
    let (a, b) = cluster.two().await;
    let joined = a.join(join_ask("g", "")).await.unwrap();
    assert_eq!((joined.generation, joined.protocol.as_deref()), (1, Some("range")));
    assert_eq!(joined.leader, joined.member_id);
    assert!(joined.member_id.starts_with("client-"), "{}", joined.member_id);
    let client = sluice_engine::ClientInfo { client_id: "é".repeat(16_383), host: "/127.0.0.1".into() };
    assert!(a.join(sluice_engine::JoinAsk { client, ..join_ask("h", "") }).await.unwrap().member_id.len() <= 32_767);
    assert_eq!(joined.members.len(), 1);
    let synced = b.sync(sync_ask("g", &joined, &[(&joined.member_id, b"all"), ("stranger", b"x")])).await.unwrap();
    assert_eq!((&synced.assignment[..], synced.protocol.as_deref()), (&b"all"[..], Some("range")));
    b.beat("g", &joined).await.unwrap();
    a.beat("g", &joined).await.unwrap();
    assert_eq!(a.sync(sync_ask("g", &joined, &[])).await.unwrap().assignment, "all");
    assert_eq!(b.describe_one("g").await.unwrap().state, "Stable");
}

// Holds: T2, T7
#[tokio::test(start_paused = true)]
async fn a_heartbeat_elsewhere_takes_the_member_over_and_one_here_costs_nothing() {
    let mut cluster = Cluster::new();
    let (a, b) = cluster.two().await;
    let joined = a.alone("g").await;
    let watch = async |cluster: &Cluster| cluster.group("g").await.members.values().next().unwrap().watch;
    let before = watch(&cluster).await;
    b.beat("g", &joined).await.unwrap();
    let after = watch(&cluster).await;
    assert_eq!(after.epoch, before.epoch + 1);
    assert_ne!(after.session, before.session);
    assert!(after.last_activity > before.last_activity);
    let (reads, entries) = (b.engine.metrics().log_reads.get(), cluster.log.last());
    for _ in 0..100 {
        b.beat("g", &joined).await.unwrap();
    }
    assert_eq!((b.engine.metrics().log_reads.get(), cluster.log.last()), (reads, entries));
}

// Holds: T2 (OffsetCommit counts as activity where the member is watched, and takes nothing over)
#[tokio::test(start_paused = true)]
async fn a_commit_elsewhere_takes_nothing_over() {
    let mut cluster = Cluster::new();
    let (a, b) = cluster.two().await;
    a.make_topic("t").await;
    let joined = a.alone("g").await;
    let before = cluster.group("g").await.members.values().next().unwrap().watch;
    b.commit("g", claim(&joined), &[("t", 0, 5)]).await.unwrap();
    let group = cluster.group("g").await;
    assert_eq!(group.members.values().next().unwrap().watch, before);
    assert_eq!(group.offsets.len(), 1);
}

// Holds: I-06, T4
#[tokio::test(start_paused = true)]
async fn a_second_member_on_another_gateway_makes_the_first_one_join_again() {
    let mut cluster = Cluster::new();
    let (a, b) = cluster.two().await;
    let first = a.alone("g").await;
    let began = Instant::now();
    let second = b.joining(join_ask("g", "")).await;
    let told = loop {
        match a.beat("g", &first).await {
            Err(error) => break error,
            Ok(()) => tokio::time::sleep(Duration::from_millis(50)).await,
        }
    };
    assert!(matches!(told, EngineError::RebalanceInProgress), "{told:?}");
    assert!(began.elapsed() < Duration::from_millis(1_500), "{:?}", began.elapsed());
    let first = a.join(join_ask("g", &first.member_id)).await.unwrap();
    let second = second.await.unwrap().unwrap();
    assert_eq!((first.generation, second.generation), (2, 2));
    assert_eq!((&first.leader, &second.leader), (&first.member_id, &first.member_id));
    assert_eq!((first.members.len(), second.members.len()), (2, 0));
    // The follower waits on its gateway until the leader has brought its assignment to the other one.
    let waiting = b.syncing(sync_ask("g", &second, &[])).await;
    assert!(!waiting.is_finished());
    a.sync(sync_ask("g", &first, &[(&first.member_id, b"one"), (&second.member_id, b"two")])).await.unwrap();
    assert_eq!(waiting.await.unwrap().unwrap().assignment, "two");
}

// Holds: T5 (unknown member)
#[tokio::test(start_paused = true)]
async fn what_another_gateway_has_just_done_is_not_called_unknown() {
    let mut cluster = Cluster::new();
    let (a, b) = cluster.two().await;
    let joined = a.alone("g").await;
    // B has not polled since: its State has no such group, and is young enough for a Heartbeat (T6).
    b.beat("g", &joined).await.unwrap();
    let joined = a.alone("h").await;
    assert_eq!(b.leave("h", &joined.member_id).await.unwrap().len(), 1);
    assert_eq!(cluster.group("h").await.phase, GroupPhase::Empty);
}

// Holds: T5 (the planted defect of the simulation shows here as well)
#[tokio::test(start_paused = true)]
async fn without_the_barrier_it_would_be() {
    let mut cluster = Cluster::new();
    let a = cluster.gateway_with(Limits::default(), hasty()).await;
    cluster.defects = Defects { errors_without_barrier: true, ..Defects::default() };
    let b = cluster.gateway_with(Limits::default(), hasty()).await;
    let joined = a.alone("g").await;
    assert!(matches!(b.beat("g", &joined).await, Err(EngineError::UnknownMember)));
}

// Holds: T5, T6 (error table: Join, Sync, Heartbeat, Leave while State cannot be refreshed)
#[tokio::test(start_paused = true)]
async fn nothing_negative_is_answered_while_the_log_cannot_be_read() {
    let mut cluster = Cluster::new();
    let (a, b) = cluster.two().await;
    let joined = a.alone("g").await;
    b.beat("g", &joined).await.unwrap();
    b.faults.set_faults(Faults { log_read: refused(), append: refused(), ..Faults::default() });
    let stranger = Joined { member_id: "stranger".into(), ..joined.clone() };
    let answers = [
        b.join(join_ask("g", "stranger")).await.map(drop),
        b.sync(sync_ask("g", &stranger, &[])).await.map(drop),
        b.beat("g", &stranger).await,
        b.leave("g", "stranger").await.map(drop),
    ];
    for answer in answers {
        assert!(matches!(answer, Err(EngineError::NotFresh(_))), "{answer:?}");
    }
    // A Heartbeat from what State showed less than 2 s ago, and not a moment longer (T6).
    b.beat("g", &joined).await.unwrap();
    tokio::time::sleep(Duration::from_secs(3)).await;
    let answer = b.beat("g", &joined).await;
    assert!(matches!(answer, Err(EngineError::NotFresh(_))), "{answer:?}");
}

// Holds: T6
#[tokio::test(start_paused = true)]
async fn a_heartbeat_is_answered_after_a_barrier_when_state_is_older_than_2_s() {
    let mut cluster = Cluster::new();
    let (a, b) = cluster.two().await;
    let (first, second) = pair(&a, &b, "g").await;
    b.faults.set_faults(Faults { log_read: refused(), append: refused(), ..Faults::default() });
    tokio::time::sleep(Duration::from_millis(2_500)).await;
    a.leave("g", &first.member_id).await.unwrap();
    b.faults.set_faults(Faults::default());
    let answer = b.beat("g", &second).await;
    assert!(matches!(answer, Err(EngineError::RebalanceInProgress)), "{answer:?}");
}

// Holds: T7 (the connection is probed on reading and after waits; LeaveGroup excepted)
#[tokio::test(start_paused = true)]
async fn what_a_gone_client_asked_is_dropped_except_that_it_leaves() {
    let mut cluster = Cluster::new();
    let (a, _b) = cluster.two().await;
    let joined = a.alone("g").await;
    let link = Arc::new(Link::default());
    link.cut();
    let origin = a.origin_of(&link);
    let end = cluster.log.last();
    assert!(is_now_not(&a.engine.join_group(&origin, join_ask("h", "")).await.unwrap_err()));
    assert!(is_now_not(&a.engine.sync_group(&origin, sync_ask("g", &joined, &[])).await.unwrap_err()));
    assert!(is_now_not(&a.engine.heartbeat(&origin, "g", &claim(&joined)).await.unwrap_err()));
    assert_eq!(cluster.log.last(), end);
    let leave = LeaveAsk { member_id: joined.member_id.to_string(), instance_id: None };
    assert!(a.engine.leave_group(&origin, "g", &[leave]).await.unwrap()[0].is_ok());
    assert_eq!(cluster.group("g").await.phase, GroupPhase::Empty);
}

// Holds: T7 (the probe after a wait)
#[tokio::test(start_paused = true)]
async fn a_client_that_goes_during_a_barrier_does_not_join() {
    let mut cluster = Cluster::new();
    let (a, _b) = cluster.two().await;
    let link = Arc::new(Link::default());
    let (origin, engine) = (a.origin_of(&link), a.engine.clone());
    let slow = OperationFaults {
        delayed_per_mille: 1000,
        delay_max: Duration::from_millis(400),
        ..OperationFaults::default()
    };
    a.faults.set_faults(Faults { log_read: slow, ..Faults::default() });
    let join = tokio::spawn(async move { engine.join_group(&origin, join_ask("g", "")).await });
    tokio::task::yield_now().await;
    link.cut();
    assert!(is_now_not(&join.await.unwrap().unwrap_err()));
    assert!(cluster.replay().await.group("g").is_none());
}

// Holds: T7 (a clock gap)
#[tokio::test(start_paused = true)]
async fn what_was_read_before_a_clock_gap_is_dropped() {
    let mut cluster = Cluster::new();
    let (a, _b) = cluster.two().await;
    let origin = a.origin();
    let stale = Origin { gaps: origin.gaps.wrapping_sub(1), ..origin };
    assert!(is_now_not(&a.engine.join_group(&stale, join_ask("g", "")).await.unwrap_err()));
    assert!(cluster.replay().await.group("g").is_none());
}

/// A's State is of generation 2; the group has gone on to 3 through B.
async fn overtaken(cluster: &mut Cluster) -> (Gateway, Gateway, Joined, Joined) {
    let (a, b) = cluster.two().await;
    let (first, second) = pair(&a, &b, "g").await;
    a.engine.barrier().await.unwrap();
    let again = b.joining(join_ask("g", &first.member_id)).await;
    b.join(join_ask("g", &second.member_id)).await.unwrap();
    again.await.unwrap().unwrap();
    (a, b, first, second)
}

// Holds: T7 (Join, Sync: member and generation as seen; re-propose once)
#[tokio::test(start_paused = true)]
async fn a_join_that_meets_another_generation_is_proposed_once_more_and_only_in_time() {
    let mut cluster = Cluster::new();
    let (a, b) = cluster.two().await;
    let slow = OperationFaults {
        delayed_per_mille: 1000,
        delay_max: Duration::from_millis(100),
        ..OperationFaults::default()
    };
    // B makes the group between A's look and A's append.
    for (age, accepted) in [(Duration::ZERO, true), (Duration::from_secs(1), false)] {
        let group_id = format!("g-{accepted}");
        b.commit_made_group(&group_id).await;
        a.engine.barrier().await.unwrap();
        let end = cluster.group(&group_id).await.generation;
        a.faults.set_faults(Faults { append: slow, ..Faults::default() });
        let origin = Origin { read_at: Instant::now().checked_sub(age).unwrap(), ..a.origin() };
        let (engine, ask) = (a.engine.clone(), join_ask(&group_id, ""));
        let join = tokio::spawn(async move { engine.join_group(&origin, ask).await });
        // The generation goes on before A's command is applied.
        tokio::task::yield_now().await;
        b.alone(&group_id).await;
        let answer = tokio::time::timeout(Duration::from_millis(500), join).await;
        a.faults.set_faults(Faults::default());
        assert_eq!(end, 0);
        match answer {
            Ok(answer) => assert!(!accepted && is_now_not(&answer.unwrap().unwrap_err())),
            Err(_) => assert!(accepted, "proposed again, and waits for the other member"),
        }
        let members = cluster.group(&group_id).await.members.len();
        assert_eq!(members, if accepted { 2 } else { 1 });
    }
}

// Holds: T7 (take-over: watch epoch as seen; re-propose once)
#[tokio::test(start_paused = true)]
async fn of_two_take_overs_at_once_the_second_is_proposed_once_more_and_only_in_time() {
    for (age, accepted) in [(Duration::ZERO, true), (Duration::from_secs(1), false)] {
        let mut cluster = Cluster::new();
        let (a, b) = cluster.two().await;
        let c = cluster.gateway_with(Limits::default(), hasty()).await;
        let joined = a.alone("g").await;
        b.engine.barrier().await.unwrap();
        c.engine.barrier().await.unwrap();
        let origin = Origin { read_at: Instant::now().checked_sub(age).unwrap(), ..c.origin() };
        let claim = claim(&joined);
        let (one, other) = tokio::join!(b.beat("g", &joined), c.engine.heartbeat(&origin, "g", &claim));
        one.unwrap();
        let epoch = cluster.group("g").await.members.values().next().unwrap().watch.epoch;
        match other {
            Ok(()) => assert!(accepted && epoch == 2, "{epoch}"),
            Err(error) => assert!(!accepted && is_now_not(&error) && epoch == 1, "{error:?}, {epoch}"),
        }
    }
}

// Holds: T7 (Sync: member as seen; re-propose once)
#[tokio::test(start_paused = true)]
async fn a_sync_that_meets_another_watch_is_proposed_once_more_and_only_in_time() {
    for (age, accepted) in [(Duration::ZERO, true), (Duration::from_secs(1), false)] {
        let mut cluster = Cluster::new();
        let (a, b) = cluster.two().await;
        let c = cluster.gateway_with(Limits::default(), hasty()).await;
        let joined = a.join(join_ask("g", "")).await.unwrap();
        b.engine.barrier().await.unwrap();
        c.engine.barrier().await.unwrap();
        let origin = Origin { read_at: Instant::now().checked_sub(age).unwrap(), ..c.origin() };
        let ask = sync_ask("g", &joined, &[(&joined.member_id, b"all")]);
        let (beat, synced) = tokio::join!(b.beat("g", &joined), c.engine.sync_group(&origin, ask));
        beat.unwrap();
        match synced {
            Ok(synced) => assert!(accepted && synced.assignment == "all"),
            Err(error) => assert!(!accepted && is_now_not(&error), "{error:?}"),
        }
        let is_stable = cluster.group("g").await.phase == GroupPhase::Stable;
        assert_eq!(is_stable, accepted);
    }
}

// Holds: I-11, T7 (error table: Join, Sync, Heartbeat, Leave did not happen, or unknown)
#[tokio::test(start_paused = true)]
async fn what_the_log_does_not_take_is_answered_within_5_s_and_never_happens() {
    let mut cluster = Cluster::new();
    let (a, b) = cluster.two().await;
    let joined = a.alone("g").await;
    b.engine.barrier().await.unwrap();
    b.faults.set_faults(Faults { append: refused(), ..Faults::default() });
    let began = Instant::now();
    let (join, sync, beat, leave) = tokio::join!(
        b.join(join_ask("g", &joined.member_id)),
        b.sync(sync_ask("g", &joined, &[])),
        b.beat("g", &joined),
        b.leave("g", &joined.member_id),
    );
    assert!(began.elapsed() <= Duration::from_secs(6), "{:?}", began.elapsed());
    for answer in [join.map(drop), sync.map(drop), beat, leave.map(drop)] {
        assert!(matches!(answer, Err(EngineError::DidNotHappen(_))), "{answer:?}");
    }
    b.faults.set_faults(Faults::default());
    settle().await;
    let group = cluster.group("g").await;
    assert_eq!((group.phase, group.members.values().next().unwrap().watch.epoch), (GroupPhase::Stable, 0));
    let lost = OperationFaults { lost_answer_per_mille: 1000, ..OperationFaults::default() };
    b.faults.set_faults(Faults { append: lost, log_read: refused(), ..Faults::default() });
    let left = b.leave("g", &joined.member_id).await;
    assert!(matches!(left, Err(EngineError::OutcomeUnknown(_))), "{left:?}");
}

// Holds: T5 (wrong generation), T7
#[tokio::test(start_paused = true)]
async fn a_generation_is_judged_by_what_the_log_says() {
    let mut cluster = Cluster::new();
    let (a, _b, first, second) = overtaken(&mut cluster).await;
    // A has not heard of generation 3 yet.
    a.beat("g", &Joined { generation: 3, ..first.clone() }).await.unwrap();
    for old in [&first, &second] {
        assert!(matches!(a.beat("g", old).await, Err(EngineError::IllegalGeneration)));
        assert!(matches!(a.sync(sync_ask("g", old, &[])).await, Err(EngineError::IllegalGeneration)));
    }
}

#[tokio::test(start_paused = true)]
async fn a_new_dynamic_member_is_told_its_id_first() {
    let mut cluster = Cluster::new();
    let (a, b) = cluster.two().await;
    let asks_first = |id: &str| super::members::with_known_id(join_ask("g", id));
    let Err(EngineError::MemberIdRequired(id)) = a.join(asks_first("")).await else { panic!("an id") };
    let group = a.describe_one("g").await.unwrap();
    assert_eq!((group.state, &*group.protocol_type, group.members.len()), ("Empty", "", 0));
    let joined = b.join(asks_first(&id)).await.unwrap();
    assert_eq!((joined.member_id, joined.generation), (id, 1));
    let contradiction = sluice_engine::JoinAsk { instance_id: Some("i".into()), ..join_ask("g", "") };
    let Err(EngineError::MemberIdRequired(other)) = a.join(asks_first("")).await else { panic!("an id") };
    let contradiction = sluice_engine::JoinAsk { member_id: other.to_string(), ..contradiction };
    let answer = a.join(contradiction).await;
    assert!(matches!(answer, Err(EngineError::Unexpected(_))), "{answer:?}");
}

#[tokio::test(start_paused = true)]
async fn joins_are_refused_by_the_rules_of_kafka() {
    let mut cluster = Cluster::new();
    let settings = Settings { group_max_size: 1, ..hasty() };
    let a = cluster.gateway_with(Limits::default(), settings).await;
    let refusal = async |ask| a.join(ask).await.unwrap_err();
    assert!(matches!(refusal(join_ask("", "")).await, EngineError::InvalidGroupId));
    for session_timeout_ms in [0, 5_999, 1_800_001, i32::MAX, -1] {
        let ask = sluice_engine::JoinAsk { session_timeout_ms, ..join_ask("g", "") };
        assert!(matches!(refusal(ask).await, EngineError::InvalidSessionTimeout), "{session_timeout_ms}");
    }
    assert!(matches!(refusal(join_ask("g", "unknown")).await, EngineError::UnknownMember));
    let none = sluice_engine::JoinAsk { protocols: Vec::new(), ..join_ask("g", "") };
    assert!(matches!(refusal(none).await, EngineError::InconsistentGroupProtocol));
    assert!(cluster.replay().await.group("g").is_none(), "nothing of this makes a group");
    a.alone("g").await;
    assert!(matches!(refusal(join_ask("g", "")).await, EngineError::GroupMaxSizeReached));
    let a = cluster.gateway_with(Limits::default(), hasty()).await;
    let other = |id| sluice_engine::JoinAsk { protocols: vec![("other".into(), Bytes::new())], ..join_ask("g", id) };
    assert!(matches!(a.join(other("")).await, Err(EngineError::InconsistentGroupProtocol)));
    // As Kafka: the protocols are judged before the member.
    assert!(matches!(a.join(other("unknown")).await, Err(EngineError::InconsistentGroupProtocol)));
    assert!(matches!(a.join(join_ask("g", "unknown")).await, Err(EngineError::UnknownMember)));
    assert_eq!(cluster.group("g").await.generation, 1);
}

#[tokio::test(start_paused = true)]
async fn syncs_are_refused_by_the_rules_of_kafka() {
    let mut cluster = Cluster::new();
    let (a, b) = cluster.two().await;
    let (first, second) = pair(&a, &b, "g").await;
    let ask = |joined: &Joined| sync_ask("g", joined, &[]);
    let refusal = async |ask| b.sync(ask).await.unwrap_err();
    assert!(matches!(refusal(sync_ask("", &first, &[])).await, EngineError::InvalidGroupId));
    assert!(matches!(refusal(sync_ask("none", &first, &[])).await, EngineError::UnknownMember));
    let other = sluice_engine::SyncAsk { protocol_type: Some("connect".into()), ..ask(&first) };
    assert!(matches!(refusal(other).await, EngineError::InconsistentGroupProtocol));
    let other = sluice_engine::SyncAsk { protocol: Some("roundrobin".into()), ..ask(&first) };
    assert!(matches!(refusal(other).await, EngineError::InconsistentGroupProtocol));
    let same = sluice_engine::SyncAsk {
        protocol: Some("range".into()),
        protocol_type: Some("consumer".into()),
        ..sync_ask("g", &second, &[(&second.member_id, b"by a follower")])
    };
    assert_eq!(b.sync(same).await.unwrap().assignment, "two", "what a follower brings is ignored");
    let rejoin = a.joining(join_ask("g", &first.member_id)).await;
    b.engine.barrier().await.unwrap();
    assert!(matches!(refusal(ask(&second)).await, EngineError::RebalanceInProgress));
    rejoin.abort();
}

// Holds: I-06
#[tokio::test(start_paused = true)]
async fn a_waiting_join_hears_that_its_member_left_or_was_replaced() {
    let mut cluster = Cluster::new();
    let (a, b) = cluster.two().await;
    a.alone("g").await;
    let waiting = b.joining(join_ask("g", "")).await;
    let id = cluster.group("g").await.members.values().next_back().unwrap().id.clone();
    a.leave("g", &id).await.unwrap();
    assert!(matches!(waiting.await.unwrap(), Err(EngineError::RemovedWhileWaiting)));
    let waiting = b.joining(static_ask("g", "i")).await;
    let fenced = cluster.group("g").await.member_by_instance("i").unwrap().id.clone();
    let heir = a.joining(static_ask("g", "i")).await;
    let answer = waiting.await.unwrap();
    assert!(matches!(&answer, Err(EngineError::FencedWhileWaiting(id)) if *id == fenced), "{answer:?}");
    heir.abort();
}

// Holds: I-06 (KIP-345, KIP-814)
#[tokio::test(start_paused = true)]
async fn a_static_member_comes_back_on_another_gateway_without_a_rebalance() {
    let mut cluster = Cluster::new();
    let (a, b) = cluster.two().await;
    let first = a.join(static_ask("g", "i")).await.unwrap();
    assert!(first.member_id.starts_with("i-"), "{}", first.member_id);
    a.sync(sync_ask("g", &first, &[(&first.member_id, b"all")])).await.unwrap();
    let back = b.join(static_ask("g", "i")).await.unwrap();
    assert_eq!((back.generation, back.skip_assignment, back.members.len()), (1, true, 1));
    assert_eq!(back.leader, back.member_id);
    assert_ne!(back.member_id, first.member_id);
    assert_eq!(a.sync(sync_ask("g", &back, &[])).await.unwrap().assignment, "all");
    // Before KIP-814 the leader that came back is told the old one, so that it does not assign.
    let old_style = sluice_engine::JoinAsk { supports_skipping_assignment: false, ..static_ask("g", "i") };
    let again = a.join(old_style).await.unwrap();
    assert_eq!((again.skip_assignment, again.members.len(), &again.leader), (false, 0, &back.member_id));
    let fenced = MemberClaim { instance_id: Some("i".into()), ..claim(&back) };
    b.engine.barrier().await.unwrap();
    let answer = b.engine.heartbeat(&b.origin(), "g", &fenced).await;
    assert!(matches!(answer, Err(EngineError::FencedInstanceId)), "{answer:?}");
    let by_instance = LeaveAsk { member_id: String::new(), instance_id: Some("i".into()) };
    let asks = [by_instance.clone(), by_instance, LeaveAsk { member_id: "x".into(), instance_id: None }];
    let left = b.engine.leave_group(&b.origin(), "g", &asks).await.unwrap();
    assert!(
        matches!(&left[..], [Ok(()), Err(EngineError::UnknownMember), Err(EngineError::UnknownMember)]),
        "{left:?}"
    );
    assert_eq!(cluster.group("g").await.phase, GroupPhase::Empty);
}

// Holds: I-03, I-10
#[tokio::test(start_paused = true)]
async fn large_payloads_go_through_an_object_and_are_checked() {
    let mut cluster = Cluster::new();
    let (a, b) = cluster.two().await;
    let large = |byte: u8| Bytes::from(vec![byte; 70_000]);
    let ask = |id: &str, byte| sluice_engine::JoinAsk {
        protocols: vec![("range".into(), large(byte)), ("sticky".into(), large(byte + 1))],
        ..join_ask("g", id)
    };
    let first = a.join(ask("", 1)).await.unwrap();
    assert_eq!(first.members[0].metadata, large(1));
    let second = b.joining(ask("", 5)).await;
    let first = a.join(ask(&first.member_id, 1)).await.unwrap();
    let second = second.await.unwrap().unwrap();
    let metadata: Vec<_> = first.members.iter().map(|member| member.metadata.clone()).collect();
    assert_eq!(metadata, [large(1), large(5)]);
    let assignments: [(&str, &[u8]); 2] = [(&first.member_id, &large(8)), (&second.member_id, &large(9))];
    a.sync(sync_ask("g", &first, &assignments)).await.unwrap();
    assert_eq!(b.sync(sync_ask("g", &second, &[])).await.unwrap().assignment, large(9));
    let described = b.describe_one("g").await.unwrap();
    assert_eq!((&described.members[0].metadata, &described.members[0].assignment), (&large(1), &large(8)));
}

// Holds: I-10
#[tokio::test(start_paused = true)]
async fn a_payload_that_was_damaged_in_the_store_is_not_told() {
    let mut cluster = Cluster::new();
    let (a, b) = cluster.two().await;
    let ask = |id: &str| sluice_engine::JoinAsk {
        protocols: vec![("range".into(), Bytes::from(vec![3; 70_000]))],
        ..join_ask("g", id)
    };
    let joined = a.join(ask("")).await.unwrap();
    a.sync(sync_ask("g", &joined, &[])).await.unwrap();
    let listed = cluster.objects.list("", None, 10).await.unwrap();
    let [object] = &listed[..] else { panic!("one object: {listed:?}") };
    let mut bytes = cluster.objects.get(&object.key, ByteRange::Full).await.unwrap().to_bytes().to_vec();
    bytes[500] ^= 1;
    cluster.objects.put(&object.key, Bytes::from(bytes).into(), PutOptions::default()).await.unwrap();
    assert!(is_now_not(&b.describe_one("g").await.unwrap_err()), "read from the store");
    assert_eq!(a.describe_one("g").await.unwrap().members[0].metadata.len(), 70_000, "kept since it was written");
}

/// Bytes of a frame, and a way to see whether anybody still keeps it.
fn frame(len: usize) -> (Bytes, std::sync::Weak<Vec<u8>>) {
    struct Owner(Arc<Vec<u8>>);
    impl AsRef<[u8]> for Owner {
        fn as_ref(&self) -> &[u8] {
            &self.0
        }
    }
    let bytes = Arc::new(vec![7; len]);
    let weak = Arc::downgrade(&bytes);
    (Bytes::from_owner(Owner(bytes)), weak)
}

// Holds: I-14
#[tokio::test(start_paused = true)]
async fn a_waiting_join_or_sync_keeps_nothing_of_its_frame() {
    for len in [100, 70_000] {
        let mut cluster = Cluster::new();
        let (a, b) = cluster.two().await;
        let first = a.alone("g").await;
        let (metadata, kept) = frame(len);
        let join =
            b.joining(sluice_engine::JoinAsk { protocols: vec![("range".into(), metadata)], ..join_ask("g", "") });
        let join = join.await;
        assert!(!join.is_finished() && kept.upgrade().is_none(), "{len}");
        a.join(join_ask("g", &first.member_id)).await.unwrap();
        let second = join.await.unwrap().unwrap();
        let (assignment, kept) = frame(len);
        let ask = sluice_engine::SyncAsk {
            assignments: vec![("stranger".into(), assignment)],
            ..sync_ask("g", &second, &[])
        };
        let sync = b.syncing(ask).await;
        assert!(!sync.is_finished() && kept.upgrade().is_none(), "{len}");
        sync.abort();
    }
}

#[tokio::test(start_paused = true)]
async fn a_payload_that_cannot_be_written_joins_nobody() {
    let mut cluster = Cluster::new();
    let (a, _b) = cluster.two().await;
    a.faults.set_faults(Faults { object_write: refused(), ..Faults::default() });
    let ask =
        sluice_engine::JoinAsk { protocols: vec![("range".into(), Bytes::from(vec![0; 70_000]))], ..join_ask("g", "") };
    assert!(is_now_not(&a.join(ask).await.unwrap_err()));
    assert!(cluster.replay().await.group("g").is_none());
}

// Holds: T7 (a gateway that stops answers 15)
#[tokio::test(start_paused = true)]
async fn a_stopping_gateway_answers_waiting_joins_and_syncs() {
    let mut cluster = Cluster::new();
    let (a, b) = cluster.two().await;
    let first = a.join(join_ask("g", "")).await.unwrap();
    let second = b.joining(join_ask("g", "")).await;
    a.join(join_ask("g", &first.member_id)).await.unwrap();
    let second = second.await.unwrap().unwrap();
    let (sync, join) = (b.syncing(sync_ask("g", &second, &[])).await, b.joining(join_ask("h", "")).await);
    assert!(join.await.unwrap().is_ok());
    let follower = b.joining(join_ask("h", "")).await;
    b.engine.interrupt_waits();
    assert!(is_now_not(&sync.await.unwrap().unwrap_err()));
    assert!(is_now_not(&follower.await.unwrap().unwrap_err()));
    settle().await;
}
