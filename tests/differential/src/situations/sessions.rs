//! What clients say from connecting to leaving, each in the versions that it chooses: the top of what it and the broker have
//! in common.

use anyhow::{Context, Result};
use sluice_protocol::KString;
use sluice_protocol::messages::list_offsets::{ListOffsetsPartition, ListOffsetsTopic};
use sluice_protocol::messages::metadata::MetadataRequestTopic;
use sluice_protocol::messages::offset_commit::{OffsetCommitRequestPartition, OffsetCommitRequestTopic};
use sluice_protocol::messages::offset_fetch::{
    OffsetFetchRequestGroup, OffsetFetchRequestTopic, OffsetFetchRequestTopics,
};
use sluice_protocol::messages::{
    ApiVersionsRequest, DeleteTopicsRequest, DescribeGroupsRequest, FetchRequest, FindCoordinatorRequest,
    InitProducerIdRequest, JoinGroupRequest, ListGroupsRequest, ListOffsetsRequest, MetadataRequest,
    OffsetCommitRequest, OffsetFetchRequest, ProduceRequest,
};
use uuid::Uuid;

use super::membership::{beat, join, leave, member_of, members_sorted, protocols, subscription, sync};
use crate::batches::{batch, batch_of};
use crate::dump::Node;
use crate::requests::{To, create, fetch, new_topic, produce};
use crate::session::Session;
use crate::situation::{Situation, each_of};

/// The versions that a client chooses.
struct Client {
    produce: i16,
    fetch: i16,
    list_offsets: i16,
    metadata: i16,
    offset_commit: i16,
    offset_fetch: i16,
    find_coordinator: i16,
    join: i16,
    heartbeat: i16,
    leave: i16,
    sync: i16,
    describe_groups: i16,
    list_groups: i16,
    api_versions: i16,
    create_topics: i16,
    delete_topics: i16,
    init_producer_id: i16,
}

const NAMES: &[&str] = &[
    "librdkafka 2.15",
    "franz-go 1.21 and Java 4.3",
    "sarama 1.60",
    "kafka-python 3.0",
    "aiokafka 0.14",
    "kafkajs 2.2",
    "kafka-go 0.4",
    "kafka-go 0.4, a Conn",
    "Java 2.1",
    "Java 2.8",
    "Java 3.9",
];

const VERSIONS: &[[i16; 17]] = &[
    [10, 16, 7, 13, 9, 9, 2, 5, 3, 1, 3, 5, 5, 3, 4, 4, 4],
    [13, 18, 11, 13, 10, 10, 6, 9, 4, 5, 5, 6, 5, 4, 7, 6, 5],
    [10, 12, 6, 11, 8, 8, 3, 8, 4, 5, 5, 5, 5, 4, 7, 6, 4],
    [9, 12, 11, 13, 8, 8, 6, 7, 4, 5, 5, 6, 5, 4, 7, 6, 4],
    [8, 11, 5, 5, 3, 3, 1, 5, 1, 1, 3, 3, 1, 2, 3, 3, 0],
    [7, 11, 3, 6, 5, 4, 2, 5, 3, 3, 3, 2, 2, 2, 3, 1, 1],
    [8, 11, 5, 8, 7, 5, 2, 7, 4, 4, 5, 5, 2, 0, 5, 3, 4],
    [7, 10, 1, 6, 2, 1, 0, 2, 0, 0, 0, 5, 1, 0, 2, 1, 0],
    [7, 10, 4, 7, 6, 5, 2, 3, 2, 2, 2, 2, 2, 2, 3, 3, 1],
    [9, 12, 6, 11, 8, 7, 3, 7, 4, 4, 5, 5, 4, 3, 7, 6, 4],
    [11, 17, 9, 12, 9, 9, 6, 9, 4, 5, 5, 5, 5, 4, 7, 6, 5],
];

impl Client {
    fn number(at: i16) -> Result<Self> {
        let v = VERSIONS.get(usize::try_from(at)?).context("a client")?;
        Ok(Self {
            produce: v[0],
            fetch: v[1],
            list_offsets: v[2],
            metadata: v[3],
            offset_commit: v[4],
            offset_fetch: v[5],
            find_coordinator: v[6],
            join: v[7],
            heartbeat: v[8],
            leave: v[9],
            sync: v[10],
            describe_groups: v[11],
            list_groups: v[12],
            api_versions: v[13],
            create_topics: v[14],
            delete_topics: v[15],
            init_producer_id: v[16],
        })
    }

    /// The first thing that is said on a connection.
    fn greet(&self, s: &mut Session) {
        let mut request = ApiVersionsRequest::default();
        if self.api_versions >= 3 {
            request.client_software_name = "a-client".into();
            request.client_software_version = "1.2.3".into();
        }
        s.ask_shaped(self.api_versions, &request, super::framing::without_ranges);
    }

    fn metadata(&self, s: &mut Session, name: &KString) -> Result<Uuid> {
        let topic = MetadataRequestTopic { name: Some(name.clone()), ..MetadataRequestTopic::default() };
        let request = MetadataRequest {
            topics: Some(vec![topic]),
            allow_auto_topic_creation: self.metadata < 4,
            ..MetadataRequest::default()
        };
        let told = s.ask(self.metadata, &request).context("metadata")?;
        Ok(told.topics.first().map(|t| t.topic_id).unwrap_or_default())
    }

    fn to(&self, name: &KString, id: Uuid, version: i16, ids_since: i16) -> To {
        if version >= ids_since { To::id(id) } else { To::name(name) }
    }

    fn coordinator(&self, s: &mut Session, group: &KString) {
        let v = self.find_coordinator;
        let request = FindCoordinatorRequest {
            key: if v < 4 { group.clone() } else { KString::new() },
            key_type: 0,
            coordinator_keys: if v < 4 { Vec::new() } else { vec![group.clone()] },
        };
        s.ask(v, &request);
    }

    fn offset(&self, s: &mut Session, name: &KString, timestamp: i64) {
        let asked = ListOffsetsPartition { partition_index: 0, timestamp, ..ListOffsetsPartition::default() };
        let topic = ListOffsetsTopic { name: name.clone(), partitions: vec![asked] };
        let request = ListOffsetsRequest {
            replica_id: -1,
            topics: vec![topic],
            timeout_ms: 10_000,
            ..ListOffsetsRequest::default()
        };
        s.ask(self.list_offsets, &request);
    }

    fn committed(&self, s: &mut Session, group: &KString, name: &KString, id: Uuid) {
        let v = self.offset_fetch;
        let partition_indexes = vec![0];
        let mut request = OffsetFetchRequest::default();
        if v >= 8 {
            let topic = OffsetFetchRequestTopics { name: name.clone(), topic_id: id, partition_indexes };
            let topics = Some(vec![topic]);
            let of = OffsetFetchRequestGroup { group_id: group.clone(), topics, ..OffsetFetchRequestGroup::default() };
            request.groups = vec![of];
        } else {
            request.group_id = group.clone();
            request.topics = Some(vec![OffsetFetchRequestTopic { name: name.clone(), partition_indexes }]);
        }
        s.ask(v, &request);
    }
}

fn own_groups(answer: &mut Node, prefix: &str) {
    answer.keep("groups", "group_id", prefix);
}

fn without_configs(answer: &mut Node, _prefix: &str) {
    if let Some(Node::List(topics)) = answer.field_mut("topics") {
        for topic in topics {
            if let Some(configs) = topic.field_mut("configs") {
                *configs = Node::Leaf("‹some›".to_owned());
            }
        }
    }
}

pub(super) const ALL: &[Situation] = &[
    each_of("a producer from connecting to its last record", "client sessions", NAMES, |s, at| {
        let client = Client::number(at)?;
        let name = s.topic("a")?;
        client.greet(s);
        let id = client.metadata(s, &name)?;
        let to = client.to(&name, id, client.produce, 13);
        for acks in [1, -1] {
            s.ask(client.produce, &ProduceRequest { acks, ..produce(&to, batch(&["one", "two"])) });
        }
        s.send(client.produce, &ProduceRequest { acks: 0, ..produce(&to, batch(&["three"])) })?;
        client.metadata(s, &name)?;
        let begin = InitProducerIdRequest {
            transactional_id: None,
            transaction_timeout_ms: 60_000,
            ..InitProducerIdRequest::default()
        };
        let producer = s.ask(client.init_producer_id, &begin).context("a producer id")?.producer_id;
        for sequence in 0..5 {
            s.send(client.produce, &produce(&to, batch_of((producer, 0), sequence, &["idempotent"])))?;
        }
        for _ in 0..5 {
            s.receive::<ProduceRequest>(client.produce);
        }
        client.offset(s, &name, -1);
        Ok(())
    }),
    each_of("a consumer without a group", "client sessions", NAMES, |s, at| {
        let client = Client::number(at)?;
        let name = s.topic("a")?;
        for values in [&["a", "b"][..], &["c"]] {
            s.prepare(9, &produce(&To::name(&name), batch(values)))?;
        }
        client.greet(s);
        let id = client.metadata(s, &name)?;
        let from = client.to(&name, id, client.fetch, 13);
        client.offset(s, &name, -2);
        client.offset(s, &name, -1);
        client.offset(s, &name, crate::batches::TIMESTAMP_MS + 1);
        for offset in [0, 2, 3] {
            s.ask(client.fetch, &fetch(&from, offset));
        }
        s.send(client.fetch, &FetchRequest { max_wait_ms: 15_000, min_bytes: 1, ..fetch(&from, 3) })?;
        s.over(1).prepare(9, &produce(&To::name(&name), batch(&["d"])))?;
        s.over(0).receive::<FetchRequest>(client.fetch);
        Ok(())
    }),
    each_of("a consumer in a group from connecting to leaving", "client sessions", NAMES, |s, at| {
        let client = Client::number(at)?;
        let (name, group) = (s.topic("a")?, s.name("g"));
        s.prepare(9, &produce(&To::name(&name), batch(&["a", "b"])))?;
        client.greet(s);
        let id = client.metadata(s, &name)?;
        client.coordinator(s, &group);
        let metadata = protocols(&[("range", subscription(&[&name], "")), ("roundrobin", subscription(&[&name], ""))]);
        let mut request = JoinGroupRequest { protocols: metadata, ..join(&group, &KString::new()) };
        if client.join >= 4 {
            request.member_id = s.ask(client.join, &request).context("a member id")?.member_id.detach();
        }
        let joined = s.ask_shaped(client.join, &request, members_sorted).context("joined")?;
        let member = member_of(&request, &joined);
        s.ask(client.sync, &sync(&member, &[(&member.id, "all of it")]));
        client.committed(s, &group, &name, id);
        client.offset(s, &name, -2);
        let from = client.to(&name, id, client.fetch, 13);
        s.ask(client.fetch, &fetch(&from, 0));
        s.ask(client.heartbeat, &beat(&member));
        let partition = OffsetCommitRequestPartition { committed_offset: 2, ..OffsetCommitRequestPartition::default() };
        let topic = OffsetCommitRequestTopic { name: name.clone(), topic_id: id, partitions: vec![partition] };
        let commit = OffsetCommitRequest {
            group_id: group.clone(),
            generation_id_or_member_epoch: member.generation,
            member_id: member.id.clone(),
            topics: vec![topic],
            ..OffsetCommitRequest::default()
        };
        s.ask(client.offset_commit, &commit);
        client.committed(s, &group, &name, id);
        s.ask(client.leave, &leave(&member, client.leave));
        client.committed(s, &group, &name, id);
        Ok(())
    }),
    each_of("an administrator of topics and groups", "client sessions", NAMES, |s, at| {
        let client = Client::number(at)?;
        let (name, group) = (s.name("a"), s.name("g"));
        client.greet(s);
        s.ask_shaped(client.create_topics, &create(vec![new_topic(&name, 2, 1)]), without_configs);
        s.await_topic(&name)?;
        client.metadata(s, &name)?;
        let member = super::membership::alone_in(s, "g")?;
        s.ask_shaped(client.list_groups, &ListGroupsRequest::default(), own_groups);
        let groups = vec![group];
        s.ask(client.describe_groups, &DescribeGroupsRequest { groups, include_authorized_operations: false });
        s.ask(client.leave, &leave(&member, client.leave));
        let mut delete = DeleteTopicsRequest { timeout_ms: 20_000, ..DeleteTopicsRequest::default() };
        match client.delete_topics {
            6.. => {
                let topic = sluice_protocol::messages::delete_topics::DeleteTopicState {
                    name: Some(name.clone()),
                    topic_id: Uuid::nil(),
                };
                delete.topics = vec![topic];
            }
            _ => delete.topic_names = vec![name.clone()],
        }
        s.ask(client.delete_topics, &delete);
        s.await_no_topic(&name)?;
        client.metadata_of_nothing(s, &name)
    }),
];

impl Client {
    /// Metadata of a topic that is gone; old versions would create it again.
    fn metadata_of_nothing(&self, s: &mut Session, name: &KString) -> Result<()> {
        if self.metadata >= 4 {
            self.metadata(s, name)?;
        }
        Ok(())
    }
}
