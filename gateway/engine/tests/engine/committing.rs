//! OffsetCommit and OffsetFetch over two gateways.

use std::sync::Arc;
use std::time::Duration;

use sluice_engine::{
    CommitAsk, CommitOffsetAsk, Defects, EngineError, Joined, Limits, MemberClaim, OffsetFetchAsk, Origin, TopicRef,
};
use sluice_metadata::GroupPhase;
use sluice_store::{Faults, OperationFaults};
use tokio::time::Instant;
use uuid::Uuid;

use super::members::{Link, claim, commit_ask, hasty, is_now_not, join_ask, nobody, offset, pair, sync_ask};
use super::support::{Cluster, Gateway, topic};

// Holds: I-06, T5 (OffsetFetch after a barrier)
#[tokio::test(start_paused = true)]
async fn what_was_committed_on_one_gateway_is_read_on_another() {
    let mut cluster = Cluster::new();
    let (a, b) = cluster.two().await;
    a.make_topic("t").await;
    let joined = a.alone("g").await;
    a.commit("g", claim(&joined), &[("t", 0, 5)]).await.unwrap();
    assert_eq!(b.committed("g", "t", 0).await, Some(5));
    b.commit("g", claim(&joined), &[("t", 0, 7)]).await.unwrap();
    assert_eq!(a.committed("g", "t", 0).await, Some(7));
    a.commit("g", claim(&joined), &[("t", 0, 3)]).await.unwrap();
    assert_eq!(b.committed("g", "t", 0).await, Some(3), "a consumer may go back of its own will");
}

// Holds: T5, T6 (error table: OffsetFetch and OffsetCommit while State cannot be refreshed)
#[tokio::test(start_paused = true)]
async fn no_offset_is_read_and_no_commit_refused_from_an_old_state() {
    let mut cluster = Cluster::new();
    let (a, b) = cluster.two().await;
    a.make_topic("t").await;
    let joined = a.alone("g").await;
    let refused = OperationFaults { refused_per_mille: 1000, ..OperationFaults::default() };
    b.faults.set_faults(Faults { log_read: refused, ..Faults::default() });
    let ask = OffsetFetchAsk { group_id: "g".into(), partitions: None };
    let answer = b.engine.fetch_offsets(vec![ask]).await.remove(0);
    assert!(matches!(answer, Err(EngineError::NotFresh(_))), "{answer:?}");
    let answer = b.commit("g", claim(&joined), &[("t", 0, 5)]).await;
    assert!(matches!(answer, Err(EngineError::NotFresh(_))), "{answer:?}");
}

/// B has committed 10; A's State is of before.
async fn stalled(cluster: &mut Cluster) -> (Gateway, Gateway, Joined) {
    let (a, b) = cluster.two().await;
    a.make_topic("t").await;
    let joined = a.alone("g").await;
    a.commit("g", claim(&joined), &[("t", 0, 4)]).await.unwrap();
    b.commit("g", claim(&joined), &[("t", 0, 10)]).await.unwrap();
    (a, b, joined)
}

// Holds: T7 (no commit of that partition by another session above `known`)
#[tokio::test(start_paused = true)]
async fn a_late_commit_of_a_stalled_gateway_never_moves_an_offset_back() {
    let mut cluster = Cluster::new();
    let (a, b, joined) = stalled(&mut cluster).await;
    let answer = a.commit("g", claim(&joined), &[("t", 0, 5)]).await;
    assert!(is_now_not(&answer.unwrap_err()));
    assert_eq!(b.committed("g", "t", 0).await, Some(10));
}

// Holds: T7 (re-propose once, if it does not lower the stored offset)
#[tokio::test(start_paused = true)]
async fn an_overtaken_commit_that_lowers_nothing_is_proposed_once_more() {
    let mut cluster = Cluster::new();
    let (a, b, joined) = stalled(&mut cluster).await;
    a.commit("g", claim(&joined), &[("t", 0, 12)]).await.unwrap();
    assert_eq!(b.committed("g", "t", 0).await, Some(12));
}

// Holds: T7 (… and only within 1 s of its reading, and without a clock gap)
#[tokio::test(start_paused = true)]
async fn an_overtaken_commit_is_not_proposed_again_when_it_is_old() {
    let mut cluster = Cluster::new();
    let (a, b, joined) = stalled(&mut cluster).await;
    let origin = Origin { read_at: Instant::now().checked_sub(Duration::from_secs(1)).unwrap(), ..a.origin() };
    let ask = commit_ask("g", claim(&joined), vec![offset("t", 0, 12)]);
    let answer = a.engine.commit_offsets(&origin, ask).await.remove(0);
    assert!(is_now_not(&answer.unwrap_err()));
    assert_eq!(b.committed("g", "t", 0).await, Some(10));
}

// Holds: T7 (generation and member are fenced in apply)
#[tokio::test(start_paused = true)]
async fn a_commit_of_a_generation_that_ended_elsewhere_changes_nothing() {
    let mut cluster = Cluster::new();
    let (a, b) = cluster.two().await;
    a.make_topic("t").await;
    let (first, second) = pair(&a, &b, "g").await;
    a.engine.barrier().await.unwrap();
    b.leave("g", &second.member_id).await.unwrap();
    b.join(join_ask("g", &first.member_id)).await.unwrap();
    // A's State still is of generation 2: it admits both commits.
    for (old, refusal) in [(&first, "IllegalGeneration"), (&second, "UnknownMember")] {
        let error = a.commit("g", claim(old), &[("t", 0, 5)]).await.unwrap_err();
        assert!(format!("{error:?}").starts_with(refusal), "{error:?}");
    }
    assert!(cluster.group("g").await.offsets.is_empty());
}

// Holds: T7 (what State was known when the commit was read, not when its wait for a fresh State was over)
#[tokio::test(start_paused = true)]
async fn a_commit_that_waits_after_its_reading_never_moves_an_offset_back() {
    let mut cluster = Cluster::new();
    let (a, b) = cluster.two().await;
    a.make_topic("t").await;
    let joined = a.alone("g").await;
    b.commit("g", claim(&joined), &[("t", 0, 4)]).await.unwrap();
    a.engine.barrier().await.unwrap();
    let read = a.engine.commit_offsets(&a.origin(), commit_ask("g", claim(&joined), vec![offset("t", 0, 5)]));
    b.commit("g", claim(&joined), &[("t", 0, 10)]).await.unwrap();
    // What a State of more than 10 s ago asks for (T6).
    a.engine.barrier().await.unwrap();
    let answer = read.await.remove(0);
    assert!(answer.as_ref().is_err_and(is_now_not), "{answer:?}");
    assert_eq!(b.committed("g", "t", 0).await, Some(10));
}

// Holds: T7 (the first request of a connection: after a barrier)
#[tokio::test(start_paused = true)]
async fn the_first_commit_of_a_connection_may_go_back_behind_what_another_gateway_took() {
    let mut cluster = Cluster::new();
    let (a, b, joined) = stalled(&mut cluster).await;
    let ask = commit_ask("g", claim(&joined), vec![offset("t", 0, 5)]);
    let read = a.engine.commit_first_offsets(&a.origin(), ask);
    a.engine.barrier().await.unwrap();
    read.await.remove(0).unwrap();
    assert_eq!(b.committed("g", "t", 0).await, Some(5));
}

/// Two commits read on one gateway one after the other; the first has to ask the log about a topic that it does not know.
/// What stands in the end.
async fn commit_twice(defects: Defects) -> Option<i64> {
    let mut cluster = Cluster::new();
    cluster.defects = defects;
    let (a, b) = cluster.two().await;
    a.make_topic("t").await;
    let joined = a.alone("g").await;
    let slow = OperationFaults {
        delayed_per_mille: 1000,
        delay_max: Duration::from_millis(300),
        ..OperationFaults::default()
    };
    a.faults.set_faults(Faults { log_read: slow, ..Faults::default() });
    let commit = |offsets| a.engine.commit_offsets(&a.origin(), commit_ask("g", claim(&joined), offsets));
    let first = commit(vec![offset("t", 0, 5), offset("unheard-of", 0, 5)]);
    let second = commit(vec![offset("t", 0, 6)]);
    // The second is polled first: the order is that of the calls.
    let (second, first) = tokio::join!(second, first);
    assert!(second[0].is_ok() && first[0].is_ok(), "{first:?} {second:?}");
    assert!(matches!(first[1], Err(EngineError::UnknownTopic)), "{first:?}");
    b.committed("g", "t", 0).await
}

// Holds: T7 (a gateway enqueues the commits of a partition in the order it read them)
#[tokio::test(start_paused = true)]
async fn commits_are_enqueued_in_the_order_in_which_they_were_read() {
    assert_eq!(commit_twice(Defects::default()).await, Some(6));
    let defects = Defects { commits_unordered: true, ..Defects::default() };
    assert_eq!(commit_twice(defects).await, Some(5), "the planted defect shows");
}

// Holds: T7 (unsent commands die with their connection, and leave the order)
#[tokio::test(start_paused = true)]
async fn a_commit_whose_client_is_gone_is_dropped_and_holds_nobody_up() {
    let mut cluster = Cluster::new();
    let (a, _b) = cluster.two().await;
    a.make_topic("t").await;
    let joined = a.alone("g").await;
    let link = Arc::new(Link::default());
    let ask = commit_ask("g", claim(&joined), vec![offset("t", 0, 5)]);
    let gone = a.engine.commit_offsets(&a.origin_of(&link), ask.clone());
    let never_polled = a.engine.commit_offsets(&a.origin(), ask);
    link.cut();
    assert!(is_now_not(gone.await.remove(0).as_ref().unwrap_err()));
    drop(never_polled);
    a.commit("g", claim(&joined), &[("t", 0, 6)]).await.unwrap();
    assert_eq!(a.committed("g", "t", 0).await, Some(6));
}

// Holds: I-11, T7 (error table: OffsetCommit did not happen, and unknown)
#[tokio::test(start_paused = true)]
async fn a_commit_says_whether_it_may_have_happened() {
    let mut cluster = Cluster::new();
    let (a, _b) = cluster.two().await;
    a.make_topic("t").await;
    let joined = a.alone("g").await;
    let refused = OperationFaults { refused_per_mille: 1000, ..OperationFaults::default() };
    a.faults.set_faults(Faults { append: refused, ..Faults::default() });
    let began = Instant::now();
    let answer = a.commit("g", claim(&joined), &[("t", 0, 5)]).await;
    assert!(matches!(answer, Err(EngineError::DidNotHappen(_))), "{answer:?}");
    assert!(began.elapsed() <= Duration::from_secs(6), "unsent commands die after 5 s: {:?}", began.elapsed());
    let lost = OperationFaults { lost_request_per_mille: 1000, ..OperationFaults::default() };
    a.faults.set_faults(Faults { append: lost, ..Faults::default() });
    let answer = a.commit("g", claim(&joined), &[("t", 0, 6)]).await;
    assert!(matches!(answer, Err(EngineError::OutcomeUnknown(_))), "{answer:?}");
}

#[tokio::test(start_paused = true)]
async fn simple_consumers_commit_to_a_group_without_members() {
    let mut cluster = Cluster::new();
    let (a, b) = cluster.two().await;
    a.make_topic("t").await;
    // Two at once make one group.
    let (one, other) = tokio::join!(a.commit("g", nobody(), &[("t", 0, 5)]), b.commit("g", nobody(), &[("t", 0, 5)]));
    one.and(other).unwrap();
    let group = cluster.group("g").await;
    assert_eq!((group.phase, group.protocol_type.clone(), group.offsets.len()), (GroupPhase::Empty, None, 1));
    let in_generation = MemberClaim { generation: 3, member_id: "m".into(), ..nobody() };
    let mut ask = commit_ask("none", in_generation.clone(), vec![offset("t", 0, 1)]);
    let answer = a.engine.commit_offsets(&a.origin(), ask.clone()).await.remove(0);
    assert!(matches!(answer, Err(EngineError::GroupIdNotFound)), "{answer:?}");
    ask.tells_unknown_group = false;
    let answer = a.engine.commit_offsets(&a.origin(), ask).await.remove(0);
    assert!(matches!(answer, Err(EngineError::IllegalGeneration)), "{answer:?}");
    assert!(matches!(a.commit("g", in_generation, &[("t", 0, 1)]).await, Err(EngineError::UnknownMember)));
    a.alone("g").await;
    assert!(matches!(b.commit("g", nobody(), &[("t", 0, 1)]).await, Err(EngineError::UnknownMember)));
    assert_eq!(a.committed("g", "t", 0).await, Some(5));
    // As Kafka: an empty group id may commit.
    a.commit("", nobody(), &[("t", 0, 9)]).await.unwrap();
    assert_eq!(b.committed("", "t", 0).await, Some(9));
}

#[tokio::test(start_paused = true)]
async fn commits_are_refused_by_phase_as_in_kafka() {
    let mut cluster = Cluster::new();
    let (a, _b) = cluster.two().await;
    a.make_topic("t").await;
    let joined = a.join(join_ask("g", "")).await.unwrap();
    let at = |offset| [("t", 0, offset)];
    assert!(matches!(a.commit("g", claim(&joined), &at(1)).await, Err(EngineError::RebalanceInProgress)), "completing");
    a.sync(sync_ask("g", &joined, &[])).await.unwrap();
    a.commit("g", claim(&joined), &at(2)).await.unwrap();
    let second = a.joining(join_ask("g", "")).await;
    a.commit("g", claim(&joined), &at(3)).await.unwrap();
    assert_eq!(a.committed("g", "t", 0).await, Some(3), "preparing");
    second.abort();
    let stranger = MemberClaim { member_id: "stranger".into(), ..claim(&joined) };
    assert!(matches!(a.commit("g", stranger, &at(4)).await, Err(EngineError::UnknownMember)));
    let no_generation = MemberClaim { generation: -1, ..claim(&joined) };
    assert!(matches!(a.commit("g", no_generation, &at(4)).await, Err(EngineError::IllegalGeneration)));
    let instance = MemberClaim { instance_id: Some("i".into()), ..claim(&joined) };
    assert!(matches!(a.commit("g", instance, &at(4)).await, Err(EngineError::UnknownMember)));
    assert_eq!(a.committed("g", "t", 0).await, Some(3));
}

#[tokio::test(start_paused = true)]
async fn a_partition_that_is_refused_does_not_keep_the_others_back() {
    let mut cluster = Cluster::new();
    let (a, b) = cluster.two().await;
    a.make_topic("t").await;
    let long = |chars: usize| CommitOffsetAsk { metadata: "é".repeat(chars), ..offset("t", 0, 3) };
    let unknown_id = CommitOffsetAsk { topic: TopicRef::Id(Uuid::from_u128(9)), ..offset("t", 0, 1) };
    let offsets =
        vec![offset("t", 0, -7), offset("t", 1, 1), offset("t", -1, 1), offset("none", 0, 1), unknown_id, long(4097)];
    // B has to ask the log about the topic.
    let answers = b.engine.commit_offsets(&b.origin(), commit_ask("g", nobody(), offsets)).await;
    assert!(answers[0].is_ok(), "as Kafka: any offset is stored");
    assert!(matches!(answers[1], Err(EngineError::UnknownPartition)));
    assert!(matches!(answers[2], Err(EngineError::UnknownPartition)));
    assert!(matches!(answers[3], Err(EngineError::UnknownTopic)));
    assert!(matches!(answers[4], Err(EngineError::UnknownTopicId)));
    assert!(matches!(answers[5], Err(EngineError::OffsetMetadataTooLarge)));
    assert_eq!(a.committed("g", "t", 0).await, Some(-7));
    let answers = b.engine.commit_offsets(&b.origin(), commit_ask("g", nobody(), vec![long(4096)])).await;
    assert!(answers[0].is_ok(), "{answers:?}");
    // As Kafka: where no partition is left, the group is not looked at.
    let in_generation = MemberClaim { generation: 3, ..nobody() };
    let answer = b.commit("none", in_generation, &[("none", 0, 1)]).await;
    assert!(matches!(answer, Err(EngineError::UnknownTopic)));
}

// Holds: I-14
#[tokio::test(start_paused = true)]
async fn a_commit_has_a_greatest_size() {
    let mut cluster = Cluster::new();
    let a = cluster.gateway_with(Limits { commit_bytes_max: 1_000, ..Limits::default() }, hasty()).await;
    a.make_topic("t").await;
    let many: Vec<_> = (0..100_001).map(|_| offset("t", 0, 1)).collect();
    let large = vec![CommitOffsetAsk { metadata: "x".repeat(1_001), ..offset("t", 0, 1) }];
    for offsets in [many, large] {
        let count = offsets.len();
        let answers = a.engine.commit_offsets(&a.origin(), commit_ask("g", nobody(), offsets)).await;
        assert_eq!(answers.len(), count);
        assert!(answers.iter().all(|answer| matches!(answer, Err(EngineError::InvalidCommitOffsetSize))));
    }
    let none = a.engine.commit_offsets(&a.origin(), commit_ask("g", nobody(), Vec::new())).await;
    assert!(none.is_empty());
    assert!(cluster.replay().await.group("g").is_none());
}

#[tokio::test(start_paused = true)]
async fn a_commit_keeps_what_the_request_says_of_time() {
    let mut cluster = Cluster::new();
    let (a, _b) = cluster.two().await;
    a.make_topic("t").await;
    let stamped = CommitOffsetAsk { committed_at_ms: Some(77), leader_epoch: 0, ..offset("t", 0, 1) };
    let ask = CommitAsk {
        retention: Some(Duration::from_secs(60)),
        ..commit_ask("g", nobody(), vec![CommitOffsetAsk { metadata: "m".into(), ..stamped }])
    };
    let now_ms = cluster.clock.wall_ms();
    assert!(a.engine.commit_offsets(&a.origin(), ask).await[0].is_ok());
    let stored = cluster.group("g").await.offsets.values().next().unwrap().clone();
    assert_eq!((stored.committed_at_ms, &*stored.metadata, stored.leader_epoch), (77, "m", 0));
    let expires_in_ms = stored.expires_at_ms.unwrap() - now_ms;
    assert!((60_000..61_000).contains(&expires_in_ms), "{expires_in_ms}");
}

#[tokio::test(start_paused = true)]
async fn the_last_offset_of_a_partition_in_a_request_counts() {
    let mut cluster = Cluster::new();
    let (a, b) = cluster.two().await;
    a.make_topic("t").await;
    a.commit("g", nobody(), &[("t", 0, 5), ("t", 0, 6)]).await.unwrap();
    assert_eq!(b.committed("g", "t", 0).await, Some(6));
}

#[tokio::test(start_paused = true)]
async fn all_offsets_of_a_group_are_fetched_and_none_of_an_unknown_one() {
    let mut cluster = Cluster::new();
    let (a, b) = cluster.two().await;
    a.make_topic("t").await;
    a.make_topic("u").await;
    a.commit("g", nobody(), &[("t", 0, 5), ("u", 0, 6)]).await.unwrap();
    let all = |group: &str| OffsetFetchAsk { group_id: group.into(), partitions: None };
    let mut asked = all("g");
    asked.partitions = Some(vec![(topic("none"), 0), (topic("t"), 9), (TopicRef::Id(Uuid::from_u128(9)), 0)]);
    let fetched = b.engine.fetch_offsets(vec![all("g"), all("none"), asked]).await;
    let mut found: Vec<_> = fetched[0].as_ref().unwrap().iter().map(|one| one.topic_name.clone().unwrap()).collect();
    found.sort();
    assert_eq!(found, ["t".into(), "u".into()]);
    assert!(fetched[1].as_ref().unwrap().is_empty());
    let asked = fetched[2].as_ref().unwrap();
    assert!(matches!(asked[0].offset, Ok(None)), "a topic need not be there");
    assert!(matches!(asked[1].offset, Ok(None)));
    assert!(matches!(asked[2].offset, Err(EngineError::UnknownTopicId)));
}
