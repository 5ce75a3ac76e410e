//! What members and administrators hear when the store stands in the way: the error table of design section 5 on the wire,
//! in the first and the newest version of each API. A client that hears these codes asks again.

use std::time::Duration;

use sluice_protocol::messages::delete_topics::DeleteTopicState;
use sluice_protocol::messages::offset_delete::{OffsetDeleteRequestPartition, OffsetDeleteRequestTopic};
use sluice_protocol::messages::{
    DeleteGroupsRequest, DeleteTopicsRequest, FindCoordinatorRequest, ListGroupsRequest, OffsetDeleteRequest,
    OffsetFetchRequest,
};
use sluice_protocol::{KString, Request};
use sluice_store::{Faults, OperationFaults};
use tokio::time::{sleep, timeout};

use crate::groups_member::{Member, NEWEST, describe, group_ask};
use crate::support::{Cluster, Gateway, Topic, gateway, log_is_down};

/// A gateway with a stable group `g` that has an offset, which then loses its log.
async fn without_log(version: i16) -> (Gateway, Topic, Member) {
    let gateway = gateway().await;
    let topic = Topic::new(&mut gateway.client().await, "t").await;
    let mut member = Member::new(&gateway, version, "g").await;
    member.settle_alone().await;
    // Version 0 of OffsetCommit names no member.
    member.version = NEWEST;
    assert_eq!(member.commit(&topic, &[(0, 7)]).await, [0]);
    member.version = version;
    gateway.faults.set_faults(log_is_down());
    (gateway, topic, member)
}

/// The answer to the first request of a connection.
async fn ask<R: Request>(gateway: &Gateway, version: i16, request: &R) -> R::Response {
    gateway.client().await.call(version, request).await
}

/// Holds: T5, T6, T7 (Join, Sync, Heartbeat, Leave and OffsetCommit 15)
#[tokio::test(start_paused = true)]
async fn members_hear_that_there_is_no_coordinator_now() {
    for version in [0, NEWEST] {
        let (gateway, topic, member) = without_log(version).await;
        let asking = async || Member {
            id: member.id.clone(),
            generation: member.generation,
            ..Member::new(&gateway, version, "g").await
        };
        let joined = asking().await.join_once().await;
        assert_eq!((joined.error_code.as_i16(), &joined.member_id), (15, &member.id), "version {version}");
        let joined = Member::new(&gateway, version, "new").await.join_once().await;
        assert_eq!((joined.error_code.as_i16(), joined.member_id.as_str()), (15, ""));
        assert_eq!(asking().await.sync(&[]).await.error_code.as_i16(), 15);
        assert_eq!(asking().await.heartbeat().await, 15);
        assert_eq!(asking().await.leave().await, 15);
        assert_eq!(asking().await.commit(&topic, &[(0, 8), (1, 8)]).await, [15, 15]);
        let mut nobody = Member { id: KString::from("nobody"), generation: 1, ..asking().await };
        assert_eq!(nobody.heartbeat().await, 15, "not 25: that is not known now (T5)");
        gateway.faults.set_enabled(false);
        assert_eq!(asking().await.heartbeat().await, 0, "it recovers with the store");
        assert_eq!(asking().await.committed(&topic, 0).await, 7, "what was refused did not happen");
    }
}

/// Holds: T6 (a Heartbeat is answered only from a State that is less than 2 s old)
#[tokio::test(start_paused = true)]
async fn a_heartbeat_is_not_answered_from_an_old_state() {
    let (_gateway, _, mut member) = without_log(NEWEST).await;
    assert_eq!(member.heartbeat().await, 0, "State is new enough");
    sleep(Duration::from_secs(2)).await;
    assert_eq!(member.heartbeat().await, 15);
}

/// Holds: T5, T6 (OffsetFetch 14: of the group, where the version can say so; before, of each partition)
#[tokio::test(start_paused = true)]
async fn committed_offsets_are_loading() {
    let (gateway, topic, _) = without_log(9).await;
    for version in 0..=7 {
        let asked = sluice_protocol::messages::offset_fetch::OffsetFetchRequestTopic {
            name: KString::from(topic.name),
            partition_indexes: vec![0, 1],
        };
        let request = OffsetFetchRequest {
            group_id: KString::from("g"),
            topics: Some(vec![asked]),
            ..OffsetFetchRequest::default()
        };
        let fetched = ask(&gateway, version, &request).await;
        let partitions = fetched.topics.iter().flat_map(|topic| &topic.partitions);
        let told: Vec<_> = partitions.map(|p| (p.partition_index, p.error_code.as_i16(), p.committed_offset)).collect();
        let expected = if version < 2 { vec![(0, 14, -1), (1, 14, -1)] } else { vec![] };
        assert_eq!((fetched.error_code.as_i16(), told), (if version < 2 { 0 } else { 14 }, expected), "{version}");
    }
    for version in 8..=NEWEST {
        let groups = vec![group_ask(version, "g", None), group_ask(version, "h", Some((&topic, &[0])))];
        let fetched = ask(&gateway, version, &OffsetFetchRequest { groups, ..OffsetFetchRequest::default() }).await;
        let told: Vec<_> = fetched.groups.iter().map(|group| (&*group.group_id, group.error_code.as_i16())).collect();
        assert_eq!(told, [("g", 14), ("h", 14)], "version {version}");
    }
}

/// Holds: T5, T6 (administration of groups 15; of topics 7). On 15 the admin client of Java looks the coordinator up again
/// and repeats DescribeGroups, DeleteGroups and OffsetDelete, and repeats ListGroups; it gives up on 7.
#[tokio::test(start_paused = true)]
async fn administrators_of_groups_hear_what_their_clients_repeat() {
    let (gateway, topic, _) = without_log(9).await;
    for version in [0, 6] {
        let described = describe(&mut gateway.client().await, version, "g").await;
        assert_eq!((described.error_code.as_i16(), &*described.group_state), (15, ""), "not Dead: that is not known");
    }
    for version in [0, 5] {
        let listed = ask(&gateway, version, &ListGroupsRequest::default()).await;
        assert_eq!((listed.error_code.as_i16(), listed.groups.len()), (15, 0));
    }
    for version in [0, 2] {
        let request = DeleteGroupsRequest { groups_names: vec![KString::from("g"), KString::from("none")] };
        let deleted = ask(&gateway, version, &request).await;
        let told: Vec<_> = deleted.results.iter().map(|group| group.error_code.as_i16()).collect();
        assert_eq!(told, [15, 15]);
    }
    let partitions = vec![OffsetDeleteRequestPartition { partition_index: 0 }];
    let topics = vec![OffsetDeleteRequestTopic { name: KString::from("t"), partitions }];
    let request = OffsetDeleteRequest { group_id: KString::from("g"), topics };
    assert_eq!(ask(&gateway, 0, &request).await.error_code.as_i16(), 15);
    let topics = vec![DeleteTopicState { name: None, topic_id: topic.id }];
    let request = DeleteTopicsRequest { topics, timeout_ms: 10_000, ..DeleteTopicsRequest::default() };
    assert_eq!(ask(&gateway, 6, &request).await.responses[0].error_code.as_i16(), 7);
    // Who coordinates needs no State: clients find the gateway again.
    let request = FindCoordinatorRequest { key: KString::from("g"), ..FindCoordinatorRequest::default() };
    assert!(ask(&gateway, 0, &request).await.error_code.is_none());
}

/// Holds: I-11 (a commit that may have happened is told 7, not a code that says it did not)
#[tokio::test(start_paused = true)]
async fn a_commit_that_may_have_happened_is_told_so() {
    let gateway = gateway().await;
    let topic = Topic::new(&mut gateway.client().await, "t").await;
    let mut member = Member::new(&gateway, NEWEST, "g").await;
    member.settle_alone().await;
    let lost = OperationFaults { lost_answer_per_mille: 1000, ..OperationFaults::default() };
    let refused = OperationFaults { refused_per_mille: 1000, ..OperationFaults::default() };
    gateway.faults.set_faults(Faults { append: lost, log_read: refused, ..Faults::default() });
    let codes = timeout(Duration::from_secs(120), member.commit(&topic, &[(0, 8)])).await.unwrap();
    assert_eq!(codes, [7]);
    gateway.faults.set_enabled(false);
    let mut reader = Member { client: gateway.client().await, ..member };
    assert_eq!(reader.committed(&topic, 0).await, 8);
}

/// Holds: I-06, T1 (the gateway of a member dies: its generation stays, and it goes on elsewhere)
#[tokio::test(start_paused = true)]
async fn a_member_outlives_its_gateway() {
    let (a, b) = Cluster::new().two().await;
    let topic = Topic::new(&mut a.client().await, "t").await;
    let mut member = Member::new(&a, NEWEST, "g").await;
    member.settle_alone().await;
    member.commit(&topic, &[(0, 7)]).await;
    a.engine.abort();
    drop(a);
    sleep(Duration::from_secs(8)).await;
    member.client = b.client().await;
    assert_eq!(member.heartbeat().await, 0, "the same generation");
    for _ in 0..20 {
        sleep(Duration::from_secs(3)).await;
        assert_eq!(member.heartbeat().await, 0);
    }
    assert_eq!(member.committed(&topic, 0).await, 7);
    assert_eq!(member.commit(&topic, &[(0, 9)]).await, [0]);
}
