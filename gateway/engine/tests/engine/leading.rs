//! What a leader is told of the members it assigns to.

use bytes::Bytes;
use sluice_engine::JoinAsk;

use super::members::{join_ask, sync_ask};
use super::support::Cluster;

// Holds: I-06 (the leader assigns to its own generation, whatever has followed by the time it is told)
#[tokio::test(start_paused = true)]
async fn a_leader_is_not_told_of_those_who_have_joined_the_next_phase() {
    let mut cluster = Cluster::new();
    let (a, b) = cluster.two().await;
    let first = a.join(join_ask("g", "")).await.unwrap();
    let second = b.joining(join_ask("g", "")).await;
    let first = a.join(join_ask("g", &first.member_id)).await.unwrap();
    let second = second.await.unwrap().unwrap();
    a.sync(sync_ask("g", &first, &[])).await.unwrap();
    let leader = b.joining(join_ask("g", &first.member_id)).await;
    a.engine.barrier().await.unwrap();
    // Both are in the log before the leader's gateway looks: the end of its phase, and what came after.
    a.join(join_ask("g", &second.member_id)).await.unwrap();
    let third = a.joining(join_ask("g", "")).await;
    let told = leader.await.unwrap().unwrap();
    assert_eq!(told.generation, 3);
    let members: Vec<_> = told.members.iter().map(|member| &member.member_id).collect();
    assert_eq!(members, [&first.member_id, &second.member_id]);
    third.abort();
}

// Holds: I-06 (a member is told with its metadata for the protocol of the generation, or not at all)
#[tokio::test(start_paused = true)]
async fn a_leader_is_not_told_of_one_that_has_given_up_its_protocol_since() {
    let mut cluster = Cluster::new();
    let (a, b) = cluster.two().await;
    let protocol = |name: &str| (name.to_owned(), Bytes::from(format!("metadata of {name}")));
    let both = |id: &str| JoinAsk { protocols: vec![protocol("range"), protocol("sticky")], ..join_ask("g", id) };
    let first = a.join(both("")).await.unwrap();
    let second = b.joining(both("")).await;
    let first = a.join(both(&first.member_id)).await.unwrap();
    let second = second.await.unwrap().unwrap();
    a.sync(sync_ask("g", &first, &[])).await.unwrap();
    let leader = b.joining(both(&first.member_id)).await;
    a.engine.barrier().await.unwrap();
    // Both are in the log before the leader's gateway looks: the end of its phase, and a Join of the next.
    a.join(both(&second.member_id)).await.unwrap();
    let ask = JoinAsk { protocols: vec![protocol("sticky")], ..join_ask("g", &second.member_id) };
    let again = a.joining(ask).await;
    let told = leader.await.unwrap().unwrap();
    assert_eq!((told.generation, told.protocol.as_deref()), (3, Some("range")));
    let members: Vec<_> = told.members.iter().map(|member| (&member.member_id, &member.metadata[..])).collect();
    assert_eq!(members, [(&first.member_id, &b"metadata of range"[..])]);
    again.abort();
}
