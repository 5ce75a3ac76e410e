//! What administrators do to partitions: more of them, fewer records in them, elections, reassignments; and what they ask.

use sluice_protocol::KString;
use sluice_protocol::messages::alter_partition_reassignments::{ReassignablePartition, ReassignableTopic};
use sluice_protocol::messages::create_partitions::{CreatePartitionsAssignment, CreatePartitionsTopic};
use sluice_protocol::messages::delete_records::{DeleteRecordsPartition, DeleteRecordsTopic};
use sluice_protocol::messages::describe_log_dirs::DescribableLogDirTopic;
use sluice_protocol::messages::describe_producers::TopicRequest;
use sluice_protocol::messages::elect_leaders::TopicPartitions;
use sluice_protocol::messages::list_partition_reassignments::ListPartitionReassignmentsTopics;
use sluice_protocol::messages::offset_for_leader_epoch::{OffsetForLeaderPartition, OffsetForLeaderTopic};
use sluice_protocol::messages::{
    AlterPartitionReassignmentsRequest, CreatePartitionsRequest, DeleteRecordsRequest, DescribeLogDirsRequest,
    DescribeProducersRequest, ElectLeadersRequest, InitProducerIdRequest, ListPartitionReassignmentsRequest,
    OffsetForLeaderEpochRequest,
};

use crate::batches::{batch, batch_of};
use crate::dump::Node;
use crate::requests::{To, fetch, list_offset, metadata, produce};
use crate::rows;
use crate::session::Session;
use crate::situation::{Situation, differs, differs_at, family, situation};

fn sorted(answer: &mut Node, _prefix: &str) {
    for list in ["partitions", "partition_result", "results", "topics", "responses", "replica_election_results"] {
        answer.sort(list);
    }
}

fn more(topics: &[(&KString, i32)]) -> CreatePartitionsRequest {
    let topic = |(name, count): &(&KString, i32)| CreatePartitionsTopic {
        name: (*name).clone(),
        count: *count,
        assignments: None,
    };
    let topics = topics.iter().map(topic).collect();
    CreatePartitionsRequest { topics, timeout_ms: 20_000, validate_only: false }
}

fn more_on(name: &KString, count: i32, brokers: &[&[i32]]) -> CreatePartitionsRequest {
    let mut request = more(&[(name, count)]);
    let assignments = brokers.iter().map(|ids| CreatePartitionsAssignment { broker_ids: ids.to_vec() });
    request.topics[0].assignments = Some(assignments.collect());
    request
}

fn delete(name: &KString, partitions: &[(i32, i64)]) -> DeleteRecordsRequest {
    let partition = |(index, offset): &(i32, i64)| DeleteRecordsPartition { partition_index: *index, offset: *offset };
    let partitions = partitions.iter().map(partition).collect();
    DeleteRecordsRequest { topics: vec![DeleteRecordsTopic { name: name.clone(), partitions }], timeout_ms: 20_000 }
}

fn epoch(name: &KString, partition: i32, current: i32, wanted: i32) -> OffsetForLeaderEpochRequest {
    let partition = OffsetForLeaderPartition { partition, current_leader_epoch: current, leader_epoch: wanted };
    let topic = OffsetForLeaderTopic { topic: name.clone(), partitions: vec![partition] };
    OffsetForLeaderEpochRequest { replica_id: -1, topics: vec![topic] }
}

fn filled(s: &mut Session) -> anyhow::Result<KString> {
    let name = s.topic_with("a", 2, &[])?;
    for values in [&["a"][..], &["b", "c"], &["d", "e", "f"]] {
        s.prepare(9, &produce(&To::name(&name), batch(values)))?;
    }
    Ok(name)
}

fn elect(topics: Option<&[(&KString, &[i32])]>, kind: i8) -> ElectLeadersRequest {
    let topic = |(name, partitions): &(&KString, &[i32])| TopicPartitions {
        topic: (*name).clone(),
        partitions: partitions.to_vec(),
    };
    let topic_partitions = topics.map(|topics| topics.iter().map(topic).collect());
    ElectLeadersRequest { election_type: kind, topic_partitions, timeout_ms: 20_000 }
}

fn reassign(name: &KString, partition: i32, replicas: Option<&[i32]>) -> AlterPartitionReassignmentsRequest {
    let partition = ReassignablePartition { partition_index: partition, replicas: replicas.map(<[i32]>::to_vec) };
    let topic = ReassignableTopic { name: name.clone(), partitions: vec![partition] };
    AlterPartitionReassignmentsRequest { timeout_ms: 20_000, topics: vec![topic], ..Default::default() }
}

/// Where a broker keeps its logs, and how much fits, is its own.
fn own_dirs(answer: &mut Node, prefix: &str) {
    answer.keep("topics", "name", prefix);
    answer.sort("topics");
    answer.sort("partitions");
    if let Some(Node::List(dirs)) = answer.field_mut("results") {
        for dir in dirs {
            for field in ["log_dir", "total_bytes", "usable_bytes"] {
                if let Some(Node::Leaf(value)) = dir.field_mut(field) {
                    let kind = if value == "-1" || value == "\"\"" { "none" } else { "‹some›" };
                    *value = kind.to_owned();
                }
            }
        }
    }
}

fn dirs(topics: Option<&[(&KString, &[i32])]>) -> DescribeLogDirsRequest {
    let topic = |(name, partitions): &(&KString, &[i32])| DescribableLogDirTopic {
        topic: (*name).clone(),
        partitions: partitions.to_vec(),
    };
    DescribeLogDirsRequest { topics: topics.map(|topics| topics.iter().map(topic).collect()) }
}

fn producers(name: &KString, partitions: &[i32]) -> DescribeProducersRequest {
    let topic = TopicRequest { name: name.clone(), partition_indexes: partitions.to_vec() };
    DescribeProducersRequest { topics: vec![topic] }
}

/// The time of a producer's last batch is the broker's.
fn without_times(answer: &mut Node, prefix: &str) {
    sorted(answer, prefix);
    answer.sort("active_producers");
    answer.replace("last_timestamp", "‹time›");
}

pub(super) const ALL: &[Situation] = &[
    family("a topic gets more partitions", rows::CREATE_PARTITIONS, 0..=3, |s, v| {
        let name = s.topic_with("a", 2, &[])?;
        s.ask(v, &more(&[(&name, 5)]));
        s.await_partitions(&name, 5)?;
        s.ask_shaped(12, &metadata(&[&name]), sorted);
        s.ask(6, &list_offset(&name, 4, -1));
        Ok(())
    }),
    family("a topic does not get as many or fewer partitions", rows::CREATE_PARTITIONS, 0..=3, |s, v| {
        let name = s.topic_with("a", 2, &[])?;
        for count in [2, 1, 0, -1, i32::MIN] {
            s.ask(v, &more(&[(&name, count)]));
        }
        Ok(())
    }),
    family("partitions for a topic that there is not", rows::CREATE_PARTITIONS, 0..=3, |s, v| {
        let none = s.name("none");
        s.ask(v, &more(&[(&none, 2)]));
        s.ask(v, &more(&[(&KString::from("a b"), 2)]));
        s.ask(v, &more(&[(&KString::from(""), 2)]));
        s.ask(v, &more(&[]));
        Ok(())
    }),
    family("a topic twice in one CreatePartitions", rows::CREATE_PARTITIONS, 0..=3, |s, v| {
        let (a, b) = (s.topic("a")?, s.topic("b")?);
        s.ask_shaped(v, &more(&[(&a, 2), (&b, 3), (&a, 4)]), sorted);
        Ok(())
    }),
    family("CreatePartitions only validates", rows::CREATE_PARTITIONS, 0..=3, |s, v| {
        let name = s.topic("a")?;
        s.ask(v, &CreatePartitionsRequest { validate_only: true, ..more(&[(&name, 3)]) });
        s.ask(v, &CreatePartitionsRequest { validate_only: true, ..more(&[(&name, 1)]) });
        s.ask(12, &metadata(&[&name]));
        Ok(())
    }),
    situation("2147483647 partitions, and 10001", rows::CREATE_PARTITIONS, |s, _| {
        let name = s.topic("a")?;
        let begun = std::time::Instant::now();
        s.ask(3, &more(&[(&name, i32::MAX)]));
        s.ask(3, &CreatePartitionsRequest { validate_only: true, ..more(&[(&name, 10_002)]) });
        s.note("quickly", begun.elapsed().as_secs() < 20);
        Ok(())
    })
    .but(const { &[differs_at("D-41", "CreatePartitions")] }),
    family("new partitions on brokers by hand", rows::CREATE_PARTITIONS, 0..=3, |s, v| {
        let name = s.topic("a")?;
        s.ask(v, &more_on(&name, 3, &[&[1], &[1]]));
        s.await_partitions(&name, 3)?;
        s.ask(v, &more_on(&name, 5, &[&[1]]));
        s.ask(v, &more_on(&name, 4, &[&[1], &[1]]));
        s.ask(v, &more_on(&name, 4, &[&[]]));
        s.ask(v, &more_on(&name, 4, &[]));
        Ok(())
    }),
    situation("new partitions on brokers that there are not", rows::CREATE_PARTITIONS, |s, _| {
        for (short, brokers) in [("other", &[7][..]), ("same", &[1, 1]), ("two", &[1, 2]), ("below", &[-1])] {
            let name = s.topic(short)?;
            s.ask(3, &more_on(&name, 2, &[brokers]));
        }
        Ok(())
    })
    .but(const { &[differs("D-08")] }),
    // ---- DeleteRecords -------------------------------------------------------------------------------------------
    family("records before an offset are deleted", rows::DELETE_RECORDS, 0..=2, |s, v| {
        let name = filled(s)?;
        s.ask(v, &delete(&name, &[(0, 2)]));
        s.ask(6, &list_offset(&name, 0, -2));
        s.ask(12, &fetch(&To::name(&name), 2));
        s.ask(12, &fetch(&To::name(&name), 1));
        s.ask(v, &delete(&name, &[(0, 1)]));
        s.ask(v, &delete(&name, &[(0, -1)]));
        s.ask(6, &list_offset(&name, 0, -2));
        s.ask(12, &fetch(&To::name(&name), 6));
        Ok(())
    }),
    family("records beyond the end, or before the start, are not deleted", rows::DELETE_RECORDS, 0..=2, |s, v| {
        let name = filled(s)?;
        for offset in [7, i64::MAX, -2, i64::MIN, 0, 6] {
            s.ask(v, &delete(&name, &[(0, offset)]));
        }
        Ok(())
    }),
    family("records of a topic or partition that there is not", rows::DELETE_RECORDS, 0..=2, |s, v| {
        let (name, none) = (filled(s)?, s.name("none"));
        s.ask_shaped(v, &delete(&name, &[(5, 0), (-1, 0), (1, 0)]), sorted);
        s.ask(v, &delete(&none, &[(0, 0)]));
        s.ask(v, &delete(&KString::from("a b"), &[(0, 0)]));
        s.ask(v, &delete(&name, &[]));
        s.ask(v, &DeleteRecordsRequest { topics: Vec::new(), timeout_ms: 1_000 });
        Ok(())
    }),
    situation("a partition twice in one DeleteRecords", rows::DELETE_RECORDS, |s, _| {
        let name = filled(s)?;
        s.ask(2, &delete(&name, &[(0, 1), (0, 3)]));
        s.ask(6, &list_offset(&name, 0, -2));
        Ok(())
    }),
    situation("records by time after the first ones are gone", rows::DELETE_RECORDS, |s, _| {
        let name = filled(s)?;
        s.ask(2, &delete(&name, &[(0, 2)]));
        s.ask(6, &list_offset(&name, 0, crate::batches::TIMESTAMP_MS));
        s.ask(7, &list_offset(&name, 0, -3));
        s.ask(9, &produce(&To::name(&name), batch(&["g"])));
        Ok(())
    }),
    // ---- OffsetForLeaderEpoch ------------------------------------------------------------------------------------
    family("the end of an epoch", rows::EPOCHS, 2..=4, |s, v| {
        let name = filled(s)?;
        for wanted in [0, 1, -1, -2, i32::MAX] {
            s.ask(v, &epoch(&name, 0, -1, wanted));
        }
        s.ask(v, &epoch(&name, 1, -1, 0));
        Ok(())
    })
    .but(const { &[differs_at("D-49", "4. OffsetForLeaderEpoch")] }),
    family("the end of an epoch for a client that knows another leader", rows::EPOCHS, 2..=4, |s, v| {
        let name = filled(s)?;
        s.ask(v, &epoch(&name, 0, 0, 0));
        s.ask(v, &epoch(&name, 0, 5, 0));
        Ok(())
    }),
    family("the end of an epoch of a topic or partition that there is not", rows::UNKNOWN_TOPIC, 2..=4, |s, v| {
        let (name, none) = (filled(s)?, s.name("none"));
        s.ask(v, &epoch(&name, 7, -1, 0));
        s.ask(v, &epoch(&none, 0, -1, 0));
        s.ask(v, &OffsetForLeaderEpochRequest { replica_id: -1, topics: Vec::new() });
        let mut nothing = epoch(&name, 0, -1, 0);
        nothing.topics[0].partitions.clear();
        s.ask(v, &nothing);
        Ok(())
    }),
    // ---- ElectLeaders --------------------------------------------------------------------------------------------
    family("an election that is not needed", rows::ELECT_LEADERS, 0..=2, |s, v| {
        let (name, none) = (s.topic_with("a", 2, &[])?, s.name("none"));
        s.ask_shaped(v, &elect(Some(&[(&name, &[0, 1]), (&none, &[0])]), 0), sorted);
        s.ask_shaped(v, &elect(Some(&[(&name, &[7, -1])]), 0), sorted);
        s.ask(v, &elect(Some(&[]), 0));
        if v >= 1 {
            s.ask_shaped(v, &elect(Some(&[(&name, &[0])]), 1), sorted);
        }
        Ok(())
    }),
    situation("an election of a kind that there is not", rows::ELECT_LEADERS, |s, _| {
        let name = s.topic("a")?;
        s.ask(2, &elect(Some(&[(&name, &[0])]), 7));
        Ok(())
    }),
    family("elections of all partitions", rows::ELECT_LEADERS, 0..=2, |s, v| {
        s.ask_shaped(v, &elect(None, 0), |answer, prefix| {
            answer.keep("replica_election_results", "topic", prefix);
        });
        Ok(())
    })
    .alone(),
    situation("a partition twice in one election", rows::ELECT_LEADERS, |s, _| {
        let name = s.topic("a")?;
        s.ask_shaped(2, &elect(Some(&[(&name, &[0, 0])]), 0), sorted);
        s.ask_shaped(2, &elect(Some(&[(&name, &[0]), (&name, &[0])]), 0), sorted);
        Ok(())
    }),
    // ---- reassignments -------------------------------------------------------------------------------------------
    family(
        "a reassignment that changes nothing, and the end of one that there is not",
        rows::ELECT_LEADERS,
        0..=1,
        |s, v| {
            let name = s.topic("a")?;
            s.ask(v, &reassign(&name, 0, None));
            s.ask(v, &reassign(&name, 0, Some(&[1])));
            Ok(())
        },
    ),
    family("reassignments that cannot be", rows::ELECT_LEADERS, 0..=1, |s, v| {
        let (name, none) = (s.topic("a")?, s.name("none"));
        for replicas in [&[][..], &[7], &[1, 1], &[-1], &[1, 7]] {
            s.ask(v, &reassign(&name, 0, Some(replicas)));
        }
        s.ask(v, &reassign(&name, 5, Some(&[1])));
        s.ask(v, &reassign(&none, 0, Some(&[1])));
        s.ask(v, &reassign(&none, 0, None));
        s.ask(v, &AlterPartitionReassignmentsRequest { topics: Vec::new(), ..reassign(&name, 0, None) });
        Ok(())
    }),
    situation("no reassignment is under way", rows::ELECT_LEADERS, |s, _| {
        let (name, none) = (s.topic("a")?, s.name("none"));
        s.ask(0, &ListPartitionReassignmentsRequest { timeout_ms: 10_000, topics: None });
        for (name, partitions) in [(&name, vec![0, 7]), (&none, vec![0]), (&name, Vec::new())] {
            let topic = ListPartitionReassignmentsTopics { name: name.clone(), partition_indexes: partitions };
            s.ask(0, &ListPartitionReassignmentsRequest { timeout_ms: 10_000, topics: Some(vec![topic]) });
        }
        s.ask(0, &ListPartitionReassignmentsRequest { timeout_ms: 10_000, topics: Some(Vec::new()) });
        Ok(())
    }),
    // ---- DescribeLogDirs -----------------------------------------------------------------------------------------
    family("the log dirs of partitions", "DescribeLogDirs", 1..=5, |s, v| {
        let name = filled(s)?;
        s.ask_shaped(v, &dirs(Some(&[(&name, &[0, 1])])), own_dirs);
        s.ask_shaped(v, &dirs(None), own_dirs);
        Ok(())
    })
    .but(const { &[differs_at("D-47", "_bytes").within(4, 5)] }),
    family("the log dirs of what there is not", "DescribeLogDirs", 1..=5, |s, v| {
        let (name, none) = (filled(s)?, s.name("none"));
        s.ask_shaped(v, &dirs(Some(&[(&name, &[7]), (&none, &[0])])), own_dirs);
        s.ask_shaped(v, &dirs(Some(&[])), own_dirs);
        s.ask_shaped(v, &dirs(Some(&[(&name, &[])])), own_dirs);
        Ok(())
    })
    .but(const { &[differs_at("D-47", "_bytes").within(4, 5)] }),
    // ---- DescribeProducers ---------------------------------------------------------------------------------------
    situation("the producers of a partition", "DescribeProducers", |s, _| {
        let name = s.topic_with("a", 2, &[])?;
        s.ask_shaped(0, &producers(&name, &[0, 1]), without_times);
        let begin = InitProducerIdRequest { transactional_id: None, ..InitProducerIdRequest::default() };
        let producer = s.prepare(4, &begin)?.producer_id;
        s.prepare(9, &produce(&To::name(&name), batch_of((producer, 0), 0, &["a", "b"])))?;
        s.prepare(9, &produce(&To::name(&name), batch_of((producer, 0), 2, &["c"])))?;
        s.ask_shaped(0, &producers(&name, &[0, 1]), without_times);
        Ok(())
    }),
    situation("the producers of what there is not", "DescribeProducers", |s, _| {
        let (name, none) = (s.topic("a")?, s.name("none"));
        s.ask_shaped(0, &producers(&name, &[7, -1]), sorted);
        s.ask(0, &producers(&none, &[0]));
        s.ask(0, &producers(&KString::from("a b"), &[0]));
        s.ask(0, &producers(&name, &[]));
        s.ask(0, &DescribeProducersRequest { topics: Vec::new() });
        Ok(())
    }),
];
