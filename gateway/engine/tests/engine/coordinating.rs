//! Groups as administrators see them, and what becomes of their offsets.

use std::time::Duration;

use bytes::{BufMut, Bytes, BytesMut};
use sluice_engine::{EngineError, JoinAsk, TopicRef};
use sluice_store::{Faults, OperationFaults};

use super::members::{claim, is_now_not, join_ask, nobody, pair, settle, sync_ask};
use super::support::{Cluster, Gateway, topic};

/// A subscription as consumers write it, version 1.
fn subscription(topics: &[&str]) -> Bytes {
    let mut bytes = BytesMut::new();
    bytes.put_i16(1);
    bytes.put_i32(i32::try_from(topics.len()).unwrap());
    for topic in topics {
        bytes.put_i16(i16::try_from(topic.len()).unwrap());
        bytes.put_slice(topic.as_bytes());
    }
    bytes.put_i32(-1);
    bytes.put_i32(0);
    bytes.freeze()
}

fn subscribing(group_id: &str, metadata: Bytes) -> JoinAsk {
    JoinAsk { protocols: vec![("range".into(), metadata)], ..join_ask(group_id, "") }
}

async fn delete_offsets(gateway: &Gateway, group_id: &str, names: &[&str]) -> Result<Vec<String>, EngineError> {
    let partitions = names.iter().map(|name| (topic(name), 0)).collect();
    let answers = gateway.engine.delete_offsets(&gateway.origin(), group_id, partitions).await?;
    Ok(answers.into_iter().map(|answer| answer.map_or_else(|error| format!("{error:?}"), |()| "gone".into())).collect())
}

// Holds: T5 (listings), I-06
#[tokio::test(start_paused = true)]
async fn groups_look_the_same_from_every_gateway() {
    let mut cluster = Cluster::new();
    let (a, b) = cluster.two().await;
    a.make_topic("t").await;
    let (first, second) = pair(&a, &b, "stable").await;
    a.commit("simple", nobody(), &[("t", 0, 1)]).await.unwrap();
    let listed = b.engine.list_groups().await.unwrap();
    assert_eq!(listed, a.engine.list_groups().await.unwrap());
    let shown: Vec<_> = listed.iter().map(|group| (&*group.group_id, &*group.protocol_type, group.state)).collect();
    assert_eq!(shown, [("simple", "", "Empty"), ("stable", "consumer", "Stable")]);
    let described = b.describe_one("stable").await.unwrap();
    assert_eq!(described, a.describe_one("stable").await.unwrap());
    assert_eq!((&*described.protocol, described.generation), ("range", 2));
    let [one, two] = &described.members[..] else { panic!("two members: {described:?}") };
    assert_eq!((&one.member_id, &two.member_id), (&first.member_id, &second.member_id));
    assert_eq!((&one.assignment[..], &two.assignment[..]), (&b"one"[..], &b"two"[..]));
    assert_eq!((&one.metadata[..], &*one.client_id, &*one.client_host), (&b"metadata"[..], "client", "/127.0.0.1"));
    assert!(matches!(b.describe_one("none").await, Err(EngineError::GroupIdNotFound)));
}

#[tokio::test(start_paused = true)]
async fn a_group_that_rebalances_shows_no_protocol() {
    let mut cluster = Cluster::new();
    let (a, b) = cluster.two().await;
    a.alone("g").await;
    let second = b.joining(join_ask("g", "")).await;
    let described = a.describe_one("g").await.unwrap();
    assert_eq!((described.state, &*described.protocol), ("PreparingRebalance", ""));
    assert!(described.members.iter().all(|member| member.metadata.is_empty()));
    // As Kafka: what was assigned is shown until the next assignment.
    assert_eq!(described.members[0].assignment, "all");
    second.abort();
    let joined = a.join(join_ask("h", "")).await.unwrap();
    let described = b.describe_one("h").await.unwrap();
    assert_eq!((described.state, &described.members[0].assignment[..]), ("CompletingRebalance", &b""[..]));
    a.sync(sync_ask("h", &joined, &[])).await.unwrap();
    assert_eq!(b.describe_one("h").await.unwrap().state, "Stable");
}

// Holds: T5, T6 (error table: listings while State cannot be refreshed)
#[tokio::test(start_paused = true)]
async fn nothing_is_listed_or_deleted_while_the_log_cannot_be_read() {
    let mut cluster = Cluster::new();
    let (a, b) = cluster.two().await;
    a.alone("g").await;
    let refused = OperationFaults { refused_per_mille: 1000, ..OperationFaults::default() };
    b.faults.set_faults(Faults { log_read: refused, append: refused, ..Faults::default() });
    assert!(matches!(b.engine.list_groups().await, Err(EngineError::NotFresh(_))));
    assert!(matches!(b.describe_one("g").await, Err(EngineError::NotFresh(_))));
    let deleted = b.engine.delete_groups(&b.origin(), vec!["none".into()]).await;
    assert!(matches!(deleted[0], Err(EngineError::NotFresh(_))));
    assert!(matches!(delete_offsets(&b, "none", &["t"]).await, Err(EngineError::NotFresh(_))));
    let deleted = b.engine.delete_topics(vec![topic("none")], Duration::from_secs(1)).await;
    assert!(matches!(deleted[0], Err(EngineError::NotFresh(_))));
}

#[tokio::test(start_paused = true)]
async fn only_groups_without_members_are_deleted() {
    let mut cluster = Cluster::new();
    let (a, b) = cluster.two().await;
    a.make_topic("t").await;
    let joined = a.alone("live").await;
    a.commit("empty", nobody(), &[("t", 0, 1)]).await.unwrap();
    let asked = ["live", "empty", "none"].map(String::from).to_vec();
    let deleted = b.engine.delete_groups(&b.origin(), asked).await;
    assert!(matches!(&deleted[..], [Err(EngineError::NonEmptyGroup), Ok(()), Err(EngineError::GroupIdNotFound)]));
    assert_eq!(a.committed("empty", "t", 0).await, None);
    a.leave("live", &joined.member_id).await.unwrap();
    assert!(b.engine.delete_groups(&b.origin(), vec!["live".into()]).await[0].is_ok());
    assert!(a.engine.list_groups().await.unwrap().is_empty());
}

#[tokio::test(start_paused = true)]
async fn offsets_of_subscribed_topics_stay() {
    let mut cluster = Cluster::new();
    let (a, b) = cluster.two().await;
    for name in ["t", "u"] {
        a.make_topic(name).await;
    }
    a.commit("g", nobody(), &[("t", 0, 1), ("u", 0, 2)]).await.unwrap();
    let joined = a.join(subscribing("g", subscription(&["t"]))).await.unwrap();
    a.sync(sync_ask("g", &joined, &[])).await.unwrap();
    let answers = delete_offsets(&b, "g", &["t", "u", "none"]).await.unwrap();
    assert_eq!(answers, ["GroupSubscribedToTopic", "gone", "UnknownTopic"]);
    assert_eq!((b.committed("g", "t", 0).await, b.committed("g", "u", 0).await), (Some(1), None));
    assert_eq!(delete_offsets(&b, "g", &["u"]).await.unwrap(), ["gone"], "never committed is gone as well");
    a.leave("g", &joined.member_id).await.unwrap();
    assert_eq!(delete_offsets(&b, "g", &["t"]).await.unwrap(), ["gone"], "nobody is subscribed any more");
    assert!(matches!(delete_offsets(&b, "none", &["t"]).await, Err(EngineError::GroupIdNotFound)));
    assert!(matches!(delete_offsets(&b, "", &["t"]).await, Err(EngineError::InvalidGroupId)));
}

#[tokio::test(start_paused = true)]
async fn what_cannot_be_read_counts_as_subscribed_to_everything() {
    let mut cluster = Cluster::new();
    let (a, b) = cluster.two().await;
    a.make_topic("t").await;
    a.commit("g", nobody(), &[("t", 0, 1)]).await.unwrap();
    let joined = a.join(subscribing("g", Bytes::from_static(b"\x00"))).await.unwrap();
    a.sync(sync_ask("g", &joined, &[])).await.unwrap();
    assert_eq!(delete_offsets(&b, "g", &["t"]).await.unwrap(), ["GroupSubscribedToTopic"]);
    let workers = JoinAsk { protocol_type: "connect".into(), ..join_ask("workers", "") };
    a.join(workers).await.unwrap();
    assert!(matches!(delete_offsets(&b, "workers", &["t"]).await, Err(EngineError::NonEmptyGroup)));
}

#[tokio::test(start_paused = true)]
async fn a_deleted_topic_takes_its_offsets_with_it_and_leaves_none_to_its_namesake() {
    let mut cluster = Cluster::new();
    let (a, b) = cluster.two().await;
    a.make_topic("t").await;
    a.make_topic("u").await;
    let joined = a.alone("g").await;
    a.commit("g", claim(&joined), &[("t", 0, 5), ("u", 0, 6)]).await.unwrap();
    let asked = vec![topic("t"), topic("none")];
    let mut deleted = b.engine.delete_topics(asked, Duration::from_secs(5)).await;
    assert!(matches!(deleted.pop(), Some(Err(EngineError::UnknownTopic))));
    let (name, id) = deleted.remove(0).unwrap();
    assert_eq!(&*name, "t");
    a.engine.barrier().await.unwrap();
    assert!(a.describe("t", false).await.is_err());
    let again = a.engine.delete_topics(vec![TopicRef::Id(id)], Duration::from_secs(5)).await.remove(0);
    assert!(matches!(again, Err(EngineError::UnknownTopicId)), "{again:?}");
    b.make_topic("t").await;
    assert_eq!((a.committed("g", "t", 0).await, a.committed("g", "u", 0).await), (None, Some(6)));
}

// Holds: T7 (a gone client's deletions are dropped)
#[tokio::test(start_paused = true)]
async fn deletions_of_a_gone_client_are_dropped() {
    let mut cluster = Cluster::new();
    let (a, _b) = cluster.two().await;
    a.commit_made_group("g").await;
    let link = std::sync::Arc::new(super::members::Link::default());
    link.cut();
    let origin = a.origin_of(&link);
    assert!(is_now_not(a.engine.delete_groups(&origin, vec!["g".into()]).await[0].as_ref().unwrap_err()));
    assert!(is_now_not(&a.engine.delete_offsets(&origin, "g", vec![(topic("t"), 0)]).await.unwrap_err()));
    settle().await;
    assert_eq!(cluster.group("g").await.offsets.len(), 1);
}

// Holds: T5 (a strong read that started after the request serves it, whoever asked for it)
#[tokio::test(start_paused = true)]
async fn a_state_refreshed_since_the_request_was_read_needs_no_further_barrier() {
    let mut cluster = Cluster::new();
    let (a, _b) = cluster.two().await;
    let joined = a.alone("g").await;
    let second = a.joining(join_ask("g", "")).await;
    let reads = || a.engine.metrics().log_reads.get();
    let old = a.origin();
    tokio::time::sleep(Duration::from_millis(1)).await;
    a.engine.barrier().await.unwrap();
    for (origin, reads_more) in [(old, 0), (a.origin(), 1)] {
        let before = reads();
        let answer = a.engine.heartbeat(&origin, "g", &claim(&joined)).await;
        assert!(matches!(answer, Err(EngineError::RebalanceInProgress)), "{answer:?}");
        assert_eq!(reads() - before, reads_more);
    }
    second.abort();
}
