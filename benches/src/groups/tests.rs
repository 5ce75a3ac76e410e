//! The counted cells, small: over gateways in a thread of the test, whose times have slack and whose counts have none.

use std::time::Duration;

use super::commits::{self, CommitPlan};
use super::fleet::{Fleet, Shape};
use super::heartbeats::{self, HeartbeatPlan};
use super::joins::{self, JoinPlan};
use super::restart::{self, RestartPlan};
use super::verdict::Verdicts;

const DELAY: Duration = Duration::from_millis(500);

fn shape(gateways: usize) -> Shape {
    Shape { gateways, initial_delay: DELAY, ..Shape::default() }
}

fn assert_kept(verdicts: &Verdicts) {
    assert!(verdicts.missed().is_empty(), "{:#?}", verdicts.missed());
}

/// Holds: T1, T4
#[tokio::test]
async fn heartbeats_add_no_store_request_and_waiters_poll_four_times_a_second() {
    let fleet = Fleet::in_thread(shape(3)).await.unwrap();
    let plan = HeartbeatPlan {
        groups: 6,
        members_each: 5,
        interval: Duration::from_millis(50),
        beats_per_commit: 40,
        window: Duration::from_secs(4),
    };
    let mut verdicts = Verdicts::default();
    heartbeats::run(&fleet, plan, &mut verdicts).await.unwrap();
    let per_second = verdicts.number("heartbeats per second").unwrap();
    assert!(per_second > 100.0, "only {per_second} heartbeats per second");
    assert_kept(&verdicts);
}

/// Holds: I-06
#[tokio::test]
async fn many_members_join_one_group_through_three_gateways_in_one_generation() {
    for (gateways, target_s) in [(1, 2.0), (3, 5.0)] {
        let fleet = Fleet::in_thread(shape(gateways)).await.unwrap();
        let mut verdicts = Verdicts::default();
        joins::run(&fleet, JoinPlan { members: 60, initial_delay: DELAY, target_s }, &mut verdicts).await.unwrap();
        assert_eq!(verdicts.number("first generation: generations it took"), Some(1.0));
        assert_eq!(verdicts.number("rebalance: generations it took"), Some(1.0));
        assert_kept(&verdicts);
    }
}

/// Holds: T2
#[tokio::test]
async fn members_keep_their_place_over_a_restart_of_all_gateways() {
    // The sessions that were lost are closed, and the timeout of the members they watched is over, while those are looked at.
    let lease = Duration::from_secs(2);
    let mut fleet = Fleet::in_thread(Shape { session_lease: Some(lease), ..shape(3) }).await.unwrap();
    let plan = RestartPlan {
        groups: 30,
        members_each: 2,
        session_timeout: Duration::from_secs(6),
        back_within: Duration::from_secs(4),
        interval: Duration::from_secs(1),
        watched: Duration::from_secs(10),
    };
    let mut verdicts = Verdicts::default();
    restart::run(&mut fleet, None, plan, &mut verdicts).await.unwrap();
    assert_kept(&verdicts);
}

#[tokio::test]
async fn commits_share_appends_and_are_what_other_gateways_show() {
    let fleet = Fleet::in_thread(Shape { store_latency: Duration::from_millis(5), ..shape(3) }).await.unwrap();
    let plan = CommitPlan {
        members: 60,
        per_second: 300,
        partitions: 12,
        warm_up: Duration::from_millis(500),
        window: Duration::from_secs(2),
    };
    let mut verdicts = Verdicts::default();
    commits::run(&fleet, plan, &mut verdicts).await.unwrap();
    assert_eq!(verdicts.number("commits refused"), Some(0.0));
    let appends = verdicts.number("appends/s of the fleet").unwrap();
    assert!(appends <= 200.0, "{appends} appends per second");
}
