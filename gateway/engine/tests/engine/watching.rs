//! Time, as gateways watch it: members, phases, other gateways' sessions (T2, the guards of design section 5, section 8).

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use sluice_engine::{Defects, EngineError, JoinAsk, Limits, Readiness, Settings};
use sluice_metadata::{GroupPhase, StateDefects};
use sluice_store::{Faults, OffsetsItem, OffsetsView, OperationFaults, StoreResult};
use tokio::time::{Instant, sleep};

use super::members::{Link, hasty, join_ask, nobody, settle, sync_ask, with_known_id};
use super::support::{Cluster, Gateway};

const fn secs(secs: u64) -> Duration {
    Duration::from_secs(secs)
}

/// Serves something every half second, so that its State is fresh and its timers run.
async fn stay_awake(gateway: &Gateway, time: Duration) {
    let until = Instant::now() + time;
    while Instant::now() < until {
        let _ = gateway.engine.ensure_fresh().await;
        sleep(Duration::from_millis(500)).await;
    }
}

async fn members(cluster: &Cluster, group_id: &str) -> usize {
    cluster.replay().await.group(group_id).map_or(0, |group| group.members.len())
}

fn impatient(session_timeout_ms: i32, rebalance_timeout_ms: i32) -> JoinAsk {
    JoinAsk { session_timeout_ms, rebalance_timeout_ms, ..join_ask("g", "") }
}

fn dark() -> Faults {
    let refused = OperationFaults { refused_per_mille: 1000, ..OperationFaults::default() };
    Faults { log_read: refused, append: refused, ..Faults::default() }
}

// Holds: T2
#[tokio::test(start_paused = true)]
async fn a_member_is_expired_after_its_session_timeout_of_silence_and_not_before() {
    let mut cluster = Cluster::new();
    let a = cluster.gateway_with(Limits::default(), hasty()).await;
    let joined = a.alone("g").await;
    for _ in 0..10 {
        sleep(secs(9)).await;
        a.beat("g", &joined).await.expect("it is alive as long as it is heard of");
    }
    sleep(Duration::from_millis(9_900)).await;
    assert_eq!(members(&cluster, "g").await, 1, "not yet");
    sleep(secs(1)).await;
    assert_eq!(members(&cluster, "g").await, 0);
    let answer = a.beat("g", &joined).await;
    assert!(matches!(answer, Err(EngineError::UnknownMember)), "{answer:?}");
}

// Holds: T2
#[tokio::test(start_paused = true)]
async fn a_registered_id_that_nobody_uses_is_forgotten_after_its_session_timeout() {
    let mut cluster = Cluster::new();
    let a = cluster.gateway_with(Limits::default(), hasty()).await;
    let answer = a.join(with_known_id(join_ask("g", ""))).await;
    assert!(matches!(answer, Err(EngineError::MemberIdRequired(_))), "{answer:?}");
    sleep(Duration::from_millis(9_500)).await;
    assert_eq!(cluster.group("g").await.registered.len(), 1);
    sleep(secs(1)).await;
    assert_eq!(cluster.group("g").await.registered.len(), 0);
}

// Holds: T2
#[tokio::test(start_paused = true)]
async fn a_member_that_another_open_session_watches_is_not_judged_here() {
    for by_others in [false, true] {
        let mut cluster = Cluster::new();
        let a = cluster.gateway_with(Limits::default(), hasty()).await;
        cluster.defects = Defects { expire_by_others: by_others, ..Defects::default() };
        let b = cluster.gateway_with(Limits::default(), hasty()).await;
        let joined = a.alone("g").await;
        for _ in 0..10 {
            stay_awake(&b, secs(3)).await;
            // Heartbeats are not stored: to b the member is silent.
            let _ = a.beat("g", &joined).await;
        }
        let expected = if by_others { 0 } else { 1 };
        assert_eq!(members(&cluster, "g").await, expected, "with the defect planted: {by_others}");
    }
}

// Holds: T1, T2
#[tokio::test(start_paused = true)]
async fn the_members_of_a_dead_gateway_have_its_lease_and_their_own_timeout_to_turn_up() {
    let mut cluster = Cluster::new();
    let (a, b) = cluster.two().await;
    let joined = a.alone("g").await;
    let session = a.engine.own_session().unwrap();
    settle().await;
    a.engine.abort();
    stay_awake(&b, secs(14)).await;
    assert!(cluster.replay().await.session(session).is_some(), "the lease is not over");
    stay_awake(&b, secs(4)).await;
    assert!(cluster.replay().await.session(session).is_none(), "the lease is over");
    assert_eq!(members(&cluster, "g").await, 1, "the close counts as its last activity");
    stay_awake(&b, secs(8)).await;
    assert_eq!(members(&cluster, "g").await, 1, "its own timeout is not over");
    stay_awake(&b, secs(6)).await;
    assert_eq!(members(&cluster, "g").await, 0);
    assert!(matches!(b.beat("g", &joined).await, Err(EngineError::UnknownMember)));
}

// Holds: T2
#[tokio::test(start_paused = true)]
async fn a_member_of_a_dead_gateway_that_turns_up_elsewhere_stays_in_its_generation() {
    let mut cluster = Cluster::new();
    let (a, b) = cluster.two().await;
    let joined = a.alone("g").await;
    a.engine.abort();
    stay_awake(&b, secs(24)).await;
    for _ in 0..10 {
        b.beat("g", &joined).await.expect("it is a member still");
        sleep(secs(5)).await;
    }
    let group = cluster.group("g").await;
    assert_eq!((group.members.len(), group.generation), (1, joined.generation));
}

// Holds: T1, T4
#[tokio::test(start_paused = true)]
async fn a_gateway_that_serves_nobody_watches_nobody() {
    let mut cluster = Cluster::new();
    let (a, b) = cluster.two().await;
    a.alone("g").await;
    let session = a.engine.own_session().unwrap();
    a.engine.abort();
    sleep(secs(5)).await;
    let reads = b.engine.metrics().log_reads.get();
    sleep(secs(600)).await;
    assert_eq!(b.engine.metrics().log_reads.get(), reads, "it sends nothing");
    stay_awake(&b, secs(10)).await;
    assert!(cluster.replay().await.session(session).is_some(), "time in which State was old does not count");
    stay_awake(&b, secs(10)).await;
    assert!(cluster.replay().await.session(session).is_none());
}

// Holds: T2
#[tokio::test(start_paused = true)]
async fn a_member_that_waits_joined_under_an_open_session_is_not_expired() {
    for expire_waiting in [false, true] {
        let mut cluster = Cluster::new();
        cluster.defects.state = StateDefects { expire_waiting, ..StateDefects::default() };
        let a = cluster.gateway_with(Limits::default(), hasty()).await;
        let first = a.alone("g").await;
        let second = a.joining(impatient(6_000, 60_000)).await;
        for _ in 0..5 {
            sleep(secs(4)).await;
            let _ = a.beat("g", &first).await;
        }
        // Not by a replay: the defect is in State itself.
        let there = a.describe_one("g").await.unwrap().members.len();
        assert_eq!(there, if expire_waiting { 1 } else { 2 }, "with the defect planted: {expire_waiting}");
        assert_eq!(second.is_finished(), expire_waiting);
        second.abort();
    }
}

// Holds: T7
#[tokio::test(start_paused = true)]
async fn a_phase_ends_after_the_rebalance_timeout_without_those_who_did_not_join() {
    let mut cluster = Cluster::new();
    let (a, b) = cluster.two().await;
    let first = a.join(impatient(10_000, 12_000)).await.unwrap();
    a.sync(sync_ask("g", &first, &[(&first.member_id, b"all")])).await.unwrap();
    let began = Instant::now();
    let second = b.joining(impatient(10_000, 12_000)).await;
    sleep(secs(1)).await;
    while began.elapsed() < secs(11) {
        let answer = a.beat("g", &first).await;
        assert!(matches!(answer, Err(EngineError::RebalanceInProgress)), "{answer:?}");
        sleep(secs(1)).await;
    }
    assert!(!second.is_finished());
    let second = second.await.unwrap().unwrap();
    assert!(began.elapsed() < secs(14), "{:?}", began.elapsed());
    assert_eq!((second.generation, second.members.len()), (first.generation + 1, 1));
    assert!(matches!(a.beat("g", &first).await, Err(EngineError::UnknownMember)));
}

// Holds: T7, I-06
#[tokio::test(start_paused = true)]
async fn any_gateway_with_a_waiting_join_ends_the_phase_whoever_began_it() {
    for by_one in [false, true] {
        let mut cluster = Cluster::new();
        cluster.defects = Defects { complete_by_one: by_one, ..Defects::default() };
        let (a, b) = cluster.two().await;
        let first = a.join(impatient(60_000, 12_000)).await.unwrap();
        a.sync(sync_ask("g", &first, &[(&first.member_id, b"all")])).await.unwrap();
        // The phase begins with a Join through a, which then dies.
        let lost = a.joining(impatient(60_000, 12_000)).await;
        let second = b.joining(impatient(60_000, 12_000)).await;
        a.engine.abort();
        lost.abort();
        let began = Instant::now();
        sleep(secs(14)).await;
        assert_eq!(second.is_finished(), !by_one, "with the defect planted: {by_one}, {:?}", began.elapsed());
        second.abort();
    }
}

async fn delayed(delay_ms: u32) -> (Cluster, Gateway) {
    let mut cluster = Cluster::new();
    let settings = Settings { group_initial_rebalance_delay_ms: delay_ms, ..Settings::default() };
    let a = cluster.gateway_with(Limits::default(), settings).await;
    (cluster, a)
}

fn within(took: Duration, from_ms: u64, to_ms: u64) -> bool {
    (Duration::from_millis(from_ms)..Duration::from_millis(to_ms)).contains(&took)
}

// Holds: T2
#[tokio::test(start_paused = true)]
async fn a_group_that_was_empty_waits_for_more_members_and_longer_while_new_ones_come() {
    let (_cluster, a) = delayed(3_000).await;
    let began = Instant::now();
    a.join(JoinAsk { group_id: "alone".into(), ..impatient(10_000, 60_000) }).await.unwrap();
    assert!(within(began.elapsed(), 3_000, 3_400), "one window: {:?}", began.elapsed());

    let began = Instant::now();
    let first = a.joining(impatient(10_000, 60_000)).await;
    sleep(secs(2)).await;
    let second = a.joining(impatient(10_000, 60_000)).await;
    let (first, second) = (first.await.unwrap().unwrap(), second.await.unwrap().unwrap());
    assert!(within(began.elapsed(), 6_000, 6_600), "a second window: {:?}", began.elapsed());
    assert_eq!((first.generation, second.generation), (1, 1));
}

// Holds: T2
#[tokio::test(start_paused = true)]
async fn a_group_that_was_empty_waits_no_longer_than_the_rebalance_timeout() {
    let (_cluster, a) = delayed(3_000).await;
    let began = Instant::now();
    let mut joins = Vec::new();
    for _ in 0..5 {
        joins.push(a.joining(impatient(10_000, 7_000)).await);
        sleep(Duration::from_millis(1_200)).await;
    }
    for join in joins {
        assert_eq!(join.await.unwrap().unwrap().generation, 1);
    }
    // Kafka's windows of 3 s: 3, 3, and the 1 s that then remains.
    assert!(within(began.elapsed(), 7_000, 8_000), "{:?}", began.elapsed());
}

/// A Join that waits, and whose client then goes: its request is dropped, as the server does.
async fn join_and_go(gateway: &Gateway, ask: JoinAsk) {
    let (engine, link) = (gateway.engine.clone(), Arc::new(Link::default()));
    let origin = gateway.origin_of(&link);
    let join = tokio::spawn(async move { engine.join_group(&origin, ask).await });
    settle().await;
    assert!(!join.is_finished());
    link.cut();
    join.abort();
    let _ = join.await;
}

// Holds: T7 (design section 8: a phase that the own session has a part in ends, whether or not a request waits for it)
#[tokio::test(start_paused = true)]
async fn an_initial_phase_ends_though_its_only_client_is_gone() {
    let (cluster, a) = delayed(3_000).await;
    join_and_go(&a, impatient(10_000, 60_000)).await;
    sleep(secs(2)).await;
    assert_eq!(cluster.group("g").await.phase, GroupPhase::PreparingRebalance);
    sleep(secs(1)).await;
    assert_eq!(cluster.group("g").await.phase, GroupPhase::CompletingRebalance);
    sleep(secs(10)).await;
    let group = cluster.group("g").await;
    assert_eq!((group.phase, group.members.len()), (GroupPhase::Empty, 0), "the silent member is expired");
    a.engine.delete_groups(&a.origin(), vec!["g".into()]).await.remove(0).expect("it can be deleted");
}

// Holds: T7
#[tokio::test(start_paused = true)]
async fn the_rebalance_timeout_holds_though_nobody_waits_for_the_phase() {
    for leaves in [false, true] {
        let mut cluster = Cluster::new();
        let (a, b) = cluster.two().await;
        let first = a.join(impatient(10_000, 12_000)).await.unwrap();
        a.sync(sync_ask("g", &first, &[(&first.member_id, b"all")])).await.unwrap();
        let began = Instant::now();
        join_and_go(&b, impatient(10_000, 12_000)).await;
        if leaves {
            let group = cluster.group("g").await;
            let second = group.members.values().next_back().unwrap().id.to_string();
            b.leave("g", &second).await.unwrap().remove(0).unwrap();
        }
        // It is told of the rebalance, and never joins again.
        while began.elapsed() < secs(10) {
            sleep(secs(1)).await;
            let answer = a.beat("g", &first).await;
            assert!(matches!(answer, Err(EngineError::RebalanceInProgress)), "{answer:?}");
        }
        sleep(secs(4)).await;
        let answer = a.beat("g", &first).await;
        assert!(matches!(answer, Err(EngineError::UnknownMember)), "leaves: {leaves}, {answer:?}");
        let phase = cluster.group("g").await.phase;
        assert_eq!(phase, if leaves { GroupPhase::Empty } else { GroupPhase::CompletingRebalance });
    }
}

/// A leader through `a` and a follower through `b`, both joined, neither synced.
async fn unsynced(a: &Gateway, b: &Gateway) -> (sluice_engine::Joined, sluice_engine::Joined) {
    let first = a.join(impatient(10_000, 60_000)).await.unwrap();
    let second = b.joining(impatient(10_000, 60_000)).await;
    let again = JoinAsk { member_id: first.member_id.to_string(), ..impatient(10_000, 60_000) };
    let first = a.join(again).await.unwrap();
    (first, second.await.unwrap().unwrap())
}

// Holds: T2 (whose Sync waits here is there, as in Kafka)
#[tokio::test(start_paused = true)]
async fn a_follower_waits_for_a_slow_leader_longer_than_its_session_timeout() {
    let mut cluster = Cluster::new();
    let (a, b) = cluster.two().await;
    let (first, second) = unsynced(&a, &b).await;
    let waiting = b.syncing(sync_ask("g", &second, &[])).await;
    for _ in 0..6 {
        a.beat("g", &first).await.expect("the leader is slow, and alive");
        sleep(secs(5)).await;
    }
    assert!(!waiting.is_finished(), "its heartbeats stand behind its Sync");
    let assignments: [(&str, &[u8]); 2] = [(&first.member_id, b"one"), (&second.member_id, b"two")];
    a.sync(sync_ask("g", &first, &assignments)).await.unwrap();
    assert_eq!(&waiting.await.unwrap().unwrap().assignment[..], b"two");
    // Its session timeout begins with the answer.
    sleep(Duration::from_millis(9_500)).await;
    assert!(cluster.group("g").await.member_by_id(&second.member_id).is_some());
    sleep(secs(1)).await;
    assert!(cluster.group("g").await.member_by_id(&second.member_id).is_none());
}

// Holds: T2
#[tokio::test(start_paused = true)]
async fn a_follower_is_not_expired_with_its_dead_leader() {
    let mut cluster = Cluster::new();
    let (a, b) = cluster.two().await;
    let (first, second) = unsynced(&a, &b).await;
    let began = Instant::now();
    let answer = b.sync(sync_ask("g", &second, &[])).await;
    assert!(matches!(answer, Err(EngineError::RebalanceInProgress)), "{answer:?}");
    assert!(within(began.elapsed(), 9_000, 11_500), "the leader was silent: {:?}", began.elapsed());
    sleep(secs(9)).await;
    let group = cluster.group("g").await;
    assert!(group.member_by_id(&first.member_id).is_none() && group.member_by_id(&second.member_id).is_some());
    let again = JoinAsk { member_id: second.member_id.to_string(), ..impatient(10_000, 60_000) };
    let joined = b.join(again).await.expect("it joins again as whom it is");
    assert_eq!((joined.generation, joined.members.len()), (second.generation + 1, 1));
}

// Holds: T7
#[tokio::test(start_paused = true)]
async fn a_leader_that_does_not_sync_is_removed_after_the_rebalance_timeout() {
    let mut cluster = Cluster::new();
    let (a, b) = cluster.two().await;
    let first = a.join(impatient(60_000, 12_000)).await.unwrap();
    let second = b.joining(impatient(60_000, 12_000)).await;
    let again = JoinAsk { member_id: first.member_id.to_string(), ..impatient(60_000, 12_000) };
    let first = a.join(again).await.unwrap();
    let second = second.await.unwrap().unwrap();
    assert_eq!(first.leader, first.member_id, "the first leads");
    let began = Instant::now();
    let answer = b.sync(sync_ask("g", &second, &[])).await;
    assert!(matches!(answer, Err(EngineError::RebalanceInProgress)), "{answer:?}");
    assert!(within(began.elapsed(), 11_500, 14_000), "{:?}", began.elapsed());
    let group = cluster.group("g").await;
    assert_eq!(group.phase, GroupPhase::PreparingRebalance);
    assert!(group.member_by_id(&first.member_id).is_none() && group.member_by_id(&second.member_id).is_some());
}

// Holds: T2
#[tokio::test(start_paused = true)]
async fn a_member_that_never_syncs_is_removed_though_it_heartbeats() {
    let mut cluster = Cluster::new();
    let a = cluster.gateway_with(Limits::default(), hasty()).await;
    let first = a.join(impatient(10_000, 12_000)).await.unwrap();
    let second = a.joining(impatient(10_000, 12_000)).await;
    let first = a.join(JoinAsk { member_id: first.member_id.to_string(), ..impatient(10_000, 12_000) }).await.unwrap();
    let second = second.await.unwrap().unwrap();
    a.sync(sync_ask("g", &first, &[(&first.member_id, b"all")])).await.unwrap();
    let began = Instant::now();
    while began.elapsed() < secs(11) {
        a.beat("g", &first).await.unwrap();
        a.beat("g", &second).await.unwrap();
        sleep(secs(1)).await;
    }
    assert_eq!(members(&cluster, "g").await, 2);
    for _ in 0..3 {
        sleep(secs(1)).await;
        let _ = a.beat("g", &first).await;
        let _ = a.beat("g", &second).await;
    }
    let group = cluster.group("g").await;
    assert!(group.member_by_id(&second.member_id).is_none(), "it did not sync");
    assert!(group.member_by_id(&first.member_id).is_some(), "it did");
}

// Holds: T2, T7
#[tokio::test(start_paused = true)]
async fn a_clock_gap_extends_every_deadline() {
    let mut cluster = Cluster::new();
    let a = cluster.gateway_with(Limits::default(), hasty()).await;
    let joined = a.alone("g").await;
    sleep(secs(5)).await;
    let gaps = a.engine.gaps().count();
    // The process is stopped for a minute.
    tokio::time::advance(secs(60)).await;
    sleep(secs(4)).await;
    assert_eq!(a.engine.gaps().count(), gaps + 1);
    assert_eq!(members(&cluster, "g").await, 1, "nine seconds of silence were watched, of ten");
    a.beat("g", &joined).await.unwrap();
    sleep(secs(11)).await;
    assert_eq!(members(&cluster, "g").await, 0, "and the watch goes on");
}

// Holds: T2
#[tokio::test(start_paused = true)]
async fn time_in_which_state_could_not_be_refreshed_does_not_count() {
    let mut cluster = Cluster::new();
    let (a, b) = cluster.two().await;
    a.alone("g").await;
    a.engine.abort();
    stay_awake(&b, secs(5)).await;
    b.faults.set_faults(dark());
    stay_awake(&b, secs(60)).await;
    b.faults.set_faults(Faults::default());
    stay_awake(&b, secs(6)).await;
    assert_eq!(cluster.replay().await.session_count(), 2, "at most thirteen seconds were watched, of fifteen");
    stay_awake(&b, secs(8)).await;
    assert_eq!(cluster.replay().await.session_count(), 1);
}

// Holds: T1, T2
#[tokio::test(start_paused = true)]
async fn a_session_that_hosts_nobody_is_closed_after_an_hour_without_an_append() {
    let mut cluster = Cluster::new();
    let limits = Limits { session_idle: secs(60), ..Limits::default() };
    let a = cluster.gateway_with(limits.clone(), hasty()).await;
    let b = cluster.gateway_with(limits, hasty()).await;
    let session = a.engine.own_session().unwrap();
    a.engine.abort();
    stay_awake(&b, secs(58)).await;
    assert!(cluster.replay().await.session(session).is_some());
    stay_awake(&b, secs(5)).await;
    assert!(cluster.replay().await.session(session).is_none());
}

/// A view that is broken inside.
#[derive(Debug)]
struct PanickingView;

#[async_trait]
impl OffsetsView for PanickingView {
    async fn put(&self, _: Vec<OffsetsItem>) -> Vec<StoreResult<()>> {
        panic!("a defect in the view")
    }
}

// Holds: T2 (a gateway whose watch or other background work has died must not go on as if nothing were)
#[tokio::test(start_paused = true)]
async fn a_gateway_stops_when_one_of_its_tasks_has_panicked() {
    let mut cluster = Cluster::new();
    cluster.shown_in = Some(Arc::new(PanickingView));
    let a = cluster.gateway_with(Limits::default(), hasty()).await;
    a.commit_made_group("g").await;
    a.commit("g", nobody(), &[("t", 0, 5)]).await.unwrap();
    assert_eq!(a.engine.readiness(), Readiness::Ready);
    sleep(secs(4)).await;
    assert!(matches!(a.engine.readiness(), Readiness::Failed(_)), "{:?}", a.engine.readiness());
    assert!(a.engine.failed().await.contains("offsets view"));
}
