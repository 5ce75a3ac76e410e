//! Committed offsets and the administration of groups: OffsetCommit, OffsetFetch, OffsetDelete, ListGroups,
//! DescribeGroups, DeleteGroups, DeleteTopics.

use std::time::Duration;

use sluice_protocol::messages::delete_topics::DeleteTopicState;
use sluice_protocol::messages::offset_commit::OffsetCommitRequestTopic;
use sluice_protocol::messages::offset_delete::{OffsetDeleteRequestPartition, OffsetDeleteRequestTopic};
use sluice_protocol::messages::{
    DeleteGroupsRequest, DeleteTopicsRequest, ListGroupsRequest, OffsetDeleteRequest, OffsetFetchRequest,
};
use sluice_protocol::{KString, Uuid};
use tokio::time::sleep;

use crate::groups_member::{Member, NEWEST, codes_of, describe, fetch_offsets, group_ask, state};
use crate::support::{Client, Cluster, Topic};

/// "commit by "simple" consumer to empty group with generation -1 | accepted; to non-empty group UNKNOWN_MEMBER_ID 25",
/// known issue 5. Holds: I-06, T5 (committed through one gateway, at once seen through the other), in every version
#[tokio::test(start_paused = true)]
async fn offsets_committed_through_one_gateway_are_there_on_the_other() {
    let (a, b) = Cluster::new().two().await;
    let topic = Topic::new(&mut a.client().await, "t").await;
    for version in 0..=NEWEST {
        let group = format!("g{version}");
        let mut simple = Member::new(&a, version, &group).await;
        let mut reader = b.client().await;
        for fetch in 0..=NEWEST {
            let none = fetch_offsets(&mut reader, fetch, &group, Some((&topic, &[0, 1]))).await;
            assert_eq!(none, [(0, -1, String::new()), (1, -1, String::new())], "nothing committed is no error");
            assert!(fetch < 2 || fetch_offsets(&mut reader, fetch, &group, None).await.is_empty());
        }
        let mut request = simple.commit_request(&topic, &[(0, 11), (1, 12)]);
        request.topics[0].partitions[1].committed_metadata = Some(KString::from("where I was"));
        request.topics[0].partitions[0].committed_metadata = None;
        assert_eq!(codes_of(&mut simple.client, version, &request).await, [0, 0], "version {version}");
        for fetch in 0..=NEWEST {
            let there = fetch_offsets(&mut reader, fetch, &group, Some((&topic, &[1, 0]))).await;
            assert_eq!(there, [(1, 12, "where I was".to_owned()), (0, 11, String::new())]);
            if fetch >= 2 {
                assert_eq!(fetch_offsets(&mut reader, fetch, &group, None).await.len(), 2, "null asks for all");
            }
        }
        let mut member = Member::new(&b, version, &group).await;
        member.settle_alone().await;
        assert_eq!(simple.commit(&topic, &[(0, 20)]).await, [25], "the group is not empty any more");
        assert_eq!(member.committed(&topic, 0).await, 11);
        assert_eq!(member.leave().await, 0);
        assert_eq!(simple.commit(&topic, &[(0, 20)]).await, [0]);
    }
}

/// Leader epochs from version 6 on; several groups in one OffsetFetch from version 8 on, each with its own answer.
#[tokio::test(start_paused = true)]
async fn several_groups_are_fetched_at_once() {
    let (a, b) = Cluster::new().two().await;
    let topic = Topic::new(&mut a.client().await, "t").await;
    for (group, offset) in [("g", 1), ("h", 2)] {
        let mut simple = Member::new(&a, NEWEST, group).await;
        let mut request = simple.commit_request(&topic, &[(0, offset)]);
        request.topics[0].partitions[0].committed_leader_epoch = 0;
        assert_eq!(codes_of(&mut simple.client, 9, &request).await, [0]);
    }
    for version in 8..=NEWEST {
        let some: &[i32] = &[0, 1];
        let asks = [("h", None), ("none", Some((&topic, some))), ("g", Some((&topic, some)))];
        let groups = asks.iter().map(|(group, asked)| group_ask(version, group, *asked)).collect();
        let request = OffsetFetchRequest { groups, require_stable: true, ..OffsetFetchRequest::default() };
        let fetched = b.client().await.call(version, &request).await;
        let mut told = Vec::new();
        for group in &fetched.groups {
            for partition in group.topics.iter().flat_map(|topic| &topic.partitions) {
                let (index, epoch) = (partition.partition_index, partition.committed_leader_epoch);
                told.push((&*group.group_id, index, partition.committed_offset, epoch));
            }
        }
        let expected = [("h", 0, 2, 0), ("none", 0, -1, -1), ("none", 1, -1, -1), ("g", 0, 1, 0), ("g", 1, -1, -1)];
        assert_eq!(told, expected, "version {version}");
    }
    // Topics need not be there, except by id.
    let unknown = Topic { name: "unknown", id: Uuid::from_u128(9) };
    for (version, code) in [(9, 0), (10, 100)] {
        let groups = vec![group_ask(version, "g", Some((&unknown, &[0])))];
        let request = OffsetFetchRequest { groups, ..OffsetFetchRequest::default() };
        let fetched = b.client().await.call(version, &request).await;
        let partition = &fetched.groups[0].topics[0].partitions[0];
        assert_eq!((partition.error_code.as_i16(), partition.committed_offset), (code, -1));
        assert_eq!(fetched.groups[0].topics[0].topic_id, if version == 10 { unknown.id } else { Uuid::nil() });
    }
}

/// "AlterConsumerGroupOffsets … unknown topic 3": per partition, and the rest is committed. By id it is 100.
#[tokio::test(start_paused = true)]
async fn what_is_unknown_does_not_hold_back_the_rest_of_a_commit() {
    let (a, b) = Cluster::new().two().await;
    let topic = Topic::new(&mut a.client().await, "t").await;
    let unknown = Topic { name: "unknown", id: Uuid::from_u128(9) };
    for version in 0..=NEWEST {
        let group = format!("g{version}");
        let mut simple = Member::new(&b, version, &group).await;
        let mut request = simple.commit_request(&topic, &[(0, 5), (2, 5), (-1, 5)]);
        request.topics.insert(0, simple.commit_request(&unknown, &[(0, 5)]).topics.remove(0));
        let code = if version == 10 { 100 } else { 3 };
        assert_eq!(codes_of(&mut simple.client, version, &request).await, [code, 0, 3, 3], "version {version}");
        assert_eq!(simple.committed(&topic, 0).await, 5);
        // Of which no partition is known, the group is not looked at, and not made.
        let none = OffsetCommitRequestTopic { ..request.topics.remove(0) };
        let request = sluice_protocol::messages::OffsetCommitRequest {
            group_id: KString::from("none"),
            generation_id_or_member_epoch: 7,
            topics: vec![none],
            ..request
        };
        assert_eq!(codes_of(&mut simple.client, version, &request).await, [code]);
        assert_eq!(state(&a, "none").await, "Dead");
    }
}

/// An unknown group with a generation: 22, and from version 9 on 69. Nothing is made.
#[tokio::test(start_paused = true)]
async fn a_member_of_no_group_commits_nothing() {
    let (a, b) = Cluster::new().two().await;
    let topic = Topic::new(&mut a.client().await, "t").await;
    for version in 1..=NEWEST {
        let mut member = Member { generation: 1, id: KString::from("m"), ..Member::new(&b, version, "none").await };
        assert_eq!(member.commit(&topic, &[(0, 1)]).await, [if version < 9 { 22 } else { 69 }]);
        assert_eq!(state(&a, "none").await, "Dead");
    }
}

async fn delete_offsets(client: &mut Client, group: &str, topics: &[(&str, i32)]) -> (i16, Vec<i16>) {
    let topic = |(name, partition_index): &(&str, i32)| OffsetDeleteRequestTopic {
        name: KString::from(*name),
        partitions: vec![OffsetDeleteRequestPartition { partition_index: *partition_index }],
    };
    let topics = topics.iter().map(topic).collect();
    let deleted = client.call(0, &OffsetDeleteRequest { group_id: KString::from(group), topics }).await;
    let partitions = deleted.topics.iter().flat_map(|topic| &topic.partitions);
    (deleted.error_code.as_i16(), partitions.map(|partition| partition.error_code.as_i16()).collect())
}

/// "OffsetDelete of subscribed topic | GROUP_SUBSCRIBED_TO_TOPIC 86"
#[tokio::test(start_paused = true)]
async fn offsets_are_deleted_unless_a_member_is_subscribed() {
    let (a, b) = Cluster::new().two().await;
    let topic = Topic::new(&mut a.client().await, "t").await;
    let other = Topic::new(&mut a.client().await, "other").await;
    let mut member = Member::new(&a, NEWEST, "g").await;
    member.settle_alone().await;
    assert_eq!(member.commit(&topic, &[(0, 1), (1, 1)]).await, [0, 0]);
    assert_eq!(member.commit(&other, &[(0, 1)]).await, [0]);
    let mut admin = b.client().await;
    let asked = [("t", 0), ("other", 0), ("other", 1), ("unknown", 0), ("t", 9)];
    assert_eq!(delete_offsets(&mut admin, "g", &asked).await, (0, vec![86, 0, 0, 3, 3]));
    assert_eq!((member.committed(&topic, 0).await, member.committed(&other, 0).await), (1, -1));
    member.leave().await;
    assert_eq!(delete_offsets(&mut admin, "g", &[("t", 0)]).await, (0, vec![0]));
    assert_eq!((member.committed(&topic, 0).await, member.committed(&topic, 1).await), (-1, 1));
    // Of the whole request.
    assert_eq!(delete_offsets(&mut admin, "none", &[("t", 0)]).await, (69, vec![]));
    assert_eq!(delete_offsets(&mut admin, "", &[("t", 0)]).await, (24, vec![]));
    let mut worker = Member { protocol_type: "connect", ..Member::new(&a, NEWEST, "workers").await };
    worker.settle_alone().await;
    assert_eq!(delete_offsets(&mut admin, "workers", &[("t", 0)]).await, (68, vec![]));
}

async fn listed(client: &mut Client, version: i16, states: &[&str], types: &[&str]) -> Vec<String> {
    let filter = |names: &[&str]| names.iter().map(|name| KString::from(*name)).collect();
    let request = ListGroupsRequest { states_filter: filter(states), types_filter: filter(types) };
    let listed = client.call(version, &request).await;
    assert!(listed.error_code.is_none());
    let shown = |group: &sluice_protocol::messages::list_groups::ListedGroup| {
        assert_eq!(&*group.group_type, if version >= 5 { "classic" } else { "" });
        format!("{} {} {}", group.group_id, group.protocol_type, group.group_state)
    };
    listed.groups.iter().map(shown).collect()
}

/// ListGroups: every gateway lists all groups; states and types filter without case; what is unknown takes nothing.
#[tokio::test(start_paused = true)]
async fn groups_are_listed_by_state_and_type() {
    let (a, b) = Cluster::new().two().await;
    let topic = Topic::new(&mut a.client().await, "t").await;
    Member::new(&a, 9, "simple").await.commit(&topic, &[(0, 1)]).await;
    Member::new(&a, 9, "stable").await.settle_alone().await;
    let mut left = Member::new(&a, 9, "left").await;
    left.settle_alone().await;
    left.leave().await;
    let mut client = b.client().await;
    for version in 0..4 {
        let all = listed(&mut client, version, &[], &[]).await;
        assert_eq!(all, ["left consumer ", "simple  ", "stable consumer "], "version {version}");
    }
    for version in 4..=5 {
        assert_eq!(listed(&mut client, version, &["Stable"], &[]).await, ["stable consumer Stable"]);
        let empty = ["left consumer Empty", "simple  Empty"];
        assert_eq!(listed(&mut client, version, &["eMPTY", "Dead", "no such state"], &[]).await, empty);
        assert!(listed(&mut client, version, &["no such state"], &[]).await.is_empty());
    }
    assert_eq!(listed(&mut client, 5, &["Stable"], &["consumer", "Classic"]).await.len(), 1);
    assert!(listed(&mut client, 5, &[], &["consumer"]).await.is_empty());
}

/// "DescribeGroups unknown | v<6: state Dead, error 0; v6+: GROUP_ID_NOT_FOUND 69"; what a stable group shows.
#[tokio::test(start_paused = true)]
async fn groups_are_described_as_kafka_shows_them() {
    let (a, b) = Cluster::new().two().await;
    let mut member = Member::fixed(&a, 9, "g", "i").await;
    member.join().await;
    let mut client = b.client().await;
    let completing = describe(&mut client, 6, "g").await;
    assert_eq!((&*completing.group_state, &*completing.protocol_data), ("CompletingRebalance", ""));
    assert!(completing.members[0].member_metadata.is_empty() && completing.members[0].member_assignment.is_empty());
    let id = member.id.clone();
    member.sync(&[(&id, "mine")]).await;
    for version in 0..=6 {
        let unknown = describe(&mut client, version, "none").await;
        let expected = if version < 6 { (0, "Dead") } else { (69, "Dead") };
        assert_eq!((unknown.error_code.as_i16(), &*unknown.group_state), expected, "version {version}");
        let message = (version >= 6).then_some("Group none not found.");
        assert_eq!(unknown.error_message.as_deref(), message, "version {version}");
        let stable = describe(&mut client, version, "g").await;
        let told = (&*stable.group_state, &*stable.protocol_type, &*stable.protocol_data, stable.error_code.as_i16());
        assert_eq!(told, ("Stable", "consumer", "range", 0));
        let shown = &stable.members[0];
        assert_eq!((&shown.member_id, &*shown.client_id, &*shown.client_host), (&id, "test", "/127.0.0.1"));
        assert_eq!(shown.group_instance_id.as_deref(), (version >= 4).then_some("i"));
        assert_eq!((&shown.member_metadata, &shown.member_assignment[..]), (&member.protocols[0].1, &b"mine"[..]));
        assert_eq!(stable.authorized_operations, i32::MIN, "nothing is authorized");
    }
}

/// "DeleteGroups | GROUP_ID_NOT_FOUND 69, NON_EMPTY_GROUP 68"; a deleted group's offsets are gone.
#[tokio::test(start_paused = true)]
async fn groups_without_members_are_deleted() {
    let (a, b) = Cluster::new().two().await;
    let topic = Topic::new(&mut a.client().await, "t").await;
    let mut live = Member::new(&a, 9, "live").await;
    live.settle_alone().await;
    for version in 0..=2 {
        let mut simple = Member::new(&a, 9, "simple").await;
        assert_eq!(simple.commit(&topic, &[(0, 1)]).await, [0]);
        let names = ["live", "none", "simple"].map(KString::from).to_vec();
        let deleted = b.client().await.call(version, &DeleteGroupsRequest { groups_names: names.clone() }).await;
        let told: Vec<_> = deleted.results.iter().map(|group| (&group.group_id, group.error_code.as_i16())).collect();
        assert_eq!(told, [(&names[0], 68), (&names[1], 69), (&names[2], 0)], "version {version}");
        assert_eq!(simple.committed(&topic, 0).await, -1);
        assert_eq!((state(&a, "simple").await, state(&a, "live").await), ("Dead".to_owned(), "Stable".to_owned()));
    }
    assert_eq!(live.heartbeat().await, 0);
}

/// DeleteTopics in every version, by name and by id: committed offsets go with the topic, and one that is created again
/// under the name inherits nothing.
#[tokio::test(start_paused = true)]
async fn a_deleted_topic_takes_its_offsets_along() {
    let (a, b) = Cluster::new().two().await;
    for version in 0..=6 {
        let mut client = a.client().await;
        let topic = Topic::new(&mut client, "t").await;
        let mut simple = Member::new(&b, 9, "g").await;
        assert_eq!(simple.commit(&topic, &[(0, 9)]).await, [0]);
        let named = |name: &str| DeleteTopicState { name: Some(KString::from(name)), ..DeleteTopicState::default() };
        let by_id = |topic_id| DeleteTopicState { name: None, topic_id };
        let topics = vec![
            by_id(topic.id),
            named("unknown"),
            by_id(Uuid::from_u128(9)),
            by_id(Uuid::nil()),
            named("x"),
            named("x"),
        ];
        let request = DeleteTopicsRequest {
            topics: if version < 6 { Vec::new() } else { topics },
            topic_names: if version < 6 { ["t", "unknown"].map(KString::from).to_vec() } else { Vec::new() },
            timeout_ms: 30_000,
        };
        let deleted = client.call(version, &request).await;
        let codes: Vec<_> = deleted.responses.iter().map(|topic| topic.error_code.as_i16()).collect();
        assert_eq!(codes, if version < 6 { &[0, 3][..] } else { &[0, 3, 100, 42, 42] }, "version {version}");
        assert_eq!(deleted.responses[0].name.as_deref(), Some("t"));
        assert_eq!(deleted.responses[0].topic_id, if version < 6 { Uuid::nil() } else { topic.id });
        assert_eq!(deleted.responses[1].error_message.is_some(), version >= 5);
        let again = Topic::new(&mut client, "t").await;
        assert_ne!(again.id, topic.id);
        assert_eq!(simple.committed(&again, 0).await, -1, "it inherits nothing");
        let request = DeleteTopicsRequest { topics: vec![by_id(again.id)], timeout_ms: 30_000, ..Default::default() };
        assert!(client.call(6, &request).await.responses[0].error_code.is_none());
        sleep(Duration::from_millis(1)).await;
    }
}
