//! The gateway's own session, as groups need it (T1), and proposals (T7).

use std::time::Duration;

use futures_util::FutureExt;
use sluice_engine::{EngineError, JoinAsk, Limits};
use sluice_store::{Faults, OperationFaults};
use tokio::time::sleep;

use super::members::{hasty, is_now_not, join_ask, nobody, pair, settle};
use super::support::{Cluster, Gateway, batch};

const fn secs(secs: u64) -> Duration {
    Duration::from_secs(secs)
}

fn dark() -> Faults {
    let refused = OperationFaults { refused_per_mille: 1000, ..OperationFaults::default() };
    Faults { log_read: refused, append: refused, ..Faults::default() }
}

async fn stay_awake(gateway: &Gateway, time: Duration) {
    for _ in 0..time.as_secs() * 2 {
        let _ = gateway.engine.ensure_fresh().await;
        sleep(Duration::from_millis(500)).await;
    }
}

// Holds: T1
#[tokio::test(start_paused = true)]
async fn heartbeats_add_no_store_request_to_what_keeps_the_session_alive() {
    let mut cluster = Cluster::new();
    let a = cluster.gateway_with(Limits::default(), hasty()).await;
    let joined = a.alone("g").await;
    settle().await;
    let metrics = a.engine.metrics();
    let (before, reads, appends) = (cluster.log.last().0, metrics.log_reads.get(), metrics.log_appends.get());
    for _ in 0..600 {
        a.beat("g", &joined).await.unwrap();
        sleep(Duration::from_millis(100)).await;
    }
    let entries = cluster.log.last().0 - before;
    assert!((11..=13).contains(&entries), "one every five seconds: {entries}");
    assert_eq!(metrics.log_appends.get() - appends, entries);
    let reads = metrics.log_reads.get() - reads;
    assert!(reads <= 61, "one a second: {reads}");
}

// Holds: T1, T4
#[tokio::test(start_paused = true)]
async fn a_session_that_hosts_nobody_says_nothing() {
    let mut cluster = Cluster::new();
    let a = cluster.gateway_with(Limits::default(), hasty()).await;
    let joined = a.alone("g").await;
    a.leave("g", &joined.member_id).await.unwrap();
    settle().await;
    sleep(secs(3)).await;
    let (entries, reads) = (cluster.log.last(), a.engine.metrics().log_reads.get());
    sleep(secs(600)).await;
    assert_eq!((cluster.log.last(), a.engine.metrics().log_reads.get()), (entries, reads));
}

// Holds: T1
#[tokio::test(start_paused = true)]
async fn a_session_that_was_idle_for_long_is_reopened_before_it_appends() {
    let mut cluster = Cluster::new();
    let limits = Limits { session_reopen: secs(50), ..Limits::default() };
    let a = cluster.gateway_with(limits, hasty()).await;
    a.produce("t", 0, batch(&["a"])).await.unwrap();
    let old = a.engine.own_session().unwrap();
    sleep(secs(49)).await;
    a.produce("t", 0, batch(&["b"])).await.unwrap();
    assert_eq!(a.engine.own_session(), Some(old), "not idle for long");
    sleep(secs(51)).await;
    a.produce("t", 0, batch(&["c"])).await.unwrap();
    assert_ne!(a.engine.own_session(), Some(old));
    let state = cluster.replay().await;
    assert!(state.session(old).is_none(), "its close rode along");
    assert_eq!(state.session_count(), 1);
    // A Join is what makes it append: it is not lost with the old session, under which nobody waited.
    sleep(secs(51)).await;
    a.alone("g").await;
    assert_eq!(cluster.group("g").await.members.len(), 1);
}

// Holds: T1, T2
#[tokio::test(start_paused = true)]
async fn a_session_that_only_holds_joins_hosts_and_has_the_short_lease() {
    let mut cluster = Cluster::new();
    let (a, b) = cluster.two().await;
    let (first, second) = pair(&a, &b, "g").await;
    // The second joins again through b, and is then heard of through a.
    let changed = JoinAsk {
        session_timeout_ms: 20_000,
        protocols: vec![("range".into(), "other".into())],
        ..join_ask("g", &second.member_id)
    };
    let waiting = b.joining(changed).await;
    assert!(matches!(a.beat("g", &second).await, Err(EngineError::RebalanceInProgress)));
    settle().await;
    let session = b.engine.own_session().unwrap();
    let state = cluster.replay().await;
    assert_eq!((state.hosted_count(session), state.hosted(session).count()), (0, 1), "the watch is elsewhere");
    let last_append = |state: &sluice_metadata::State| state.session(session).map(|session| session.last_append);
    for _ in 0..4 {
        sleep(secs(3)).await;
        let _ = a.beat("g", &first).await;
    }
    assert!(last_append(&cluster.replay().await) > last_append(&state), "it keeps itself alive");
    b.engine.abort();
    waiting.abort();
    for _ in 0..9 {
        sleep(secs(2)).await;
        let _ = a.beat("g", &first).await;
    }
    assert_eq!(last_append(&cluster.replay().await), None, "and is closed by others when it does not");
}

/// The session of `lost` is closed by `other`, while it can neither read nor append.
async fn lose_session(lost: &Gateway, other: &Gateway) {
    lost.faults.set_faults(dark());
    stay_awake(other, secs(18)).await;
    lost.faults.set_faults(Faults::default());
}

// Holds: T1, T7
#[tokio::test(start_paused = true)]
async fn a_waiting_join_hears_of_the_lost_session_before_another_is_opened() {
    let mut cluster = Cluster::new();
    let (a, b) = cluster.two().await;
    a.alone("g").await;
    let session = a.engine.own_session();
    // It waits, and from then on nobody polls it.
    let origin = a.origin();
    let mut waiting = Box::pin(a.engine.join_group(&origin, join_ask("g", "")));
    for _ in 0..20 {
        assert!(waiting.as_mut().now_or_never().is_none());
        sleep(Duration::from_millis(10)).await;
    }
    assert_eq!(cluster.group("g").await.joined, 1);
    lose_session(&a, &b).await;
    sleep(secs(3)).await;
    let state = cluster.replay().await;
    assert!(state.session(session.unwrap()).is_none() && state.session_count() == 1);
    let wanted = a.commit("h", nobody(), &[]).now_or_never();
    drop(wanted);
    let (produce, answer) = tokio::join!(a.produce("t", 0, batch(&["a"])), async {
        sleep(secs(2)).await;
        assert_eq!(a.engine.own_session(), None, "none is opened while a Join of the lost one waits");
        waiting.await
    });
    assert!(answer.as_ref().is_err_and(is_now_not), "{answer:?}");
    produce.expect("what else was waiting goes on under the next");
    assert!(a.engine.own_session().is_some_and(|now| Some(now) != session));
}

// Holds: T7
#[tokio::test(start_paused = true)]
async fn a_coordination_command_that_is_not_sent_in_time_is_dropped() {
    let mut cluster = Cluster::new();
    let a = cluster.gateway_with(Limits::default(), hasty()).await;
    a.alone("other").await;
    let refused = OperationFaults { refused_per_mille: 1000, ..OperationFaults::default() };
    a.faults.set_faults(Faults { append: refused, ..Faults::default() });
    let began = tokio::time::Instant::now();
    let answer = a.join(join_ask("g", "")).await;
    assert!(
        answer.as_ref().is_err_and(is_now_not) || matches!(answer, Err(EngineError::DidNotHappen(_))),
        "{answer:?}"
    );
    assert!(began.elapsed() <= secs(6), "{:?}", began.elapsed());
    a.faults.set_faults(Faults::default());
    a.produce("t", 0, batch(&["a"])).await.unwrap();
    settle().await;
    assert!(cluster.replay().await.group("g").is_none(), "what was said not to have happened never does");
}

// Holds: T7
#[tokio::test(start_paused = true)]
async fn a_command_that_was_not_sent_dies_with_its_request() {
    let mut cluster = Cluster::new();
    let a = cluster.gateway_with(Limits::default(), hasty()).await;
    a.alone("other").await;
    let refused = OperationFaults { refused_per_mille: 1000, ..OperationFaults::default() };
    a.faults.set_faults(Faults { append: refused, ..Faults::default() });
    let join = a.joining(join_ask("g", "")).await;
    join.abort();
    let _ = join.await;
    a.faults.set_faults(Faults::default());
    a.produce("t", 0, batch(&["a"])).await.unwrap();
    settle().await;
    assert!(cluster.replay().await.group("g").is_none());
}
