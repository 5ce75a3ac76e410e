//! Versions that Kafka 4 has given up and that old clients still send.

use sluice_protocol::messages::{
    CreateTopicsRequest, DeleteTopicsRequest, DescribeConfigsRequest, DescribeLogDirsRequest, FetchRequest,
    ListOffsetsRequest, OffsetCommitRequest, OffsetFetchRequest, OffsetForLeaderEpochRequest, ProduceRequest,
};

use super::produce::message;
use crate::requests::{To, create, fetch, list_offset, new_topic, produce};
use crate::rows;
use crate::situation::{Situation, differs, family, situation};

pub(super) const ALL: &[Situation] = &[
    family("a message set in an old Produce", "Produce", 0..=2, |s, v| {
        let to = To::name(&s.topic("a")?);
        s.ask(v, &produce(&to, message(u8::from(v >= 2), b"value")));
        Ok(())
    })
    .but(const { &[differs("D-51")] }),
    family("an old Fetch", "Fetch", 0..=3, |s, v| {
        let to = To::name(&s.topic("a")?);
        s.ask::<FetchRequest>(v, &fetch(&to, 0));
        Ok(())
    })
    .but(const { &[differs("D-51")] }),
    situation("an old ListOffsets", "ListOffsets", |s, _| {
        let name = s.topic("a")?;
        s.ask::<ListOffsetsRequest>(0, &list_offset(&name, 0, -1));
        Ok(())
    })
    .but(const { &[differs("D-51")] }),
    family("an old CreateTopics", rows::CREATE_TOPICS, 0..=1, |s, v| {
        let name = s.name("a");
        s.ask::<CreateTopicsRequest>(v, &create(vec![new_topic(&name, 1, 1)]));
        Ok(())
    })
    .but(const { &[differs("D-51")] }),
    situation("an old DeleteTopics", rows::DELETE_TOPICS, |s, _| {
        let topic_names = vec![s.topic("a")?];
        s.ask(0, &DeleteTopicsRequest { topic_names, timeout_ms: 10_000, ..DeleteTopicsRequest::default() });
        Ok(())
    })
    .but(const { &[differs("D-51")] }),
    family("an old OffsetCommit", "OffsetCommit", 0..=1, |s, v| {
        let group_id = s.name("g");
        s.ask(v, &OffsetCommitRequest { group_id, ..OffsetCommitRequest::default() });
        Ok(())
    })
    .but(const { &[differs("D-51")] }),
    situation("an old OffsetFetch", "OffsetFetch", |s, _| {
        let group_id = s.name("g");
        s.ask(0, &OffsetFetchRequest { group_id, ..OffsetFetchRequest::default() });
        Ok(())
    })
    .but(const { &[differs("D-51")] }),
    situation("an old DescribeConfigs", "DescribeConfigs", |s, _| {
        s.ask(0, &DescribeConfigsRequest::default());
        Ok(())
    })
    .but(const { &[differs("D-51")] }),
    situation("an old DescribeLogDirs", "DescribeLogDirs", |s, _| {
        s.ask(0, &DescribeLogDirsRequest { topics: Some(Vec::new()) });
        Ok(())
    })
    .but(const { &[differs("D-51")] }),
    family("an old OffsetForLeaderEpoch", rows::EPOCHS, 0..=1, |s, v| {
        s.ask(v, &OffsetForLeaderEpochRequest::default());
        Ok(())
    })
    .but(const { &[differs("D-51")] }),
    situation("an old Produce with acks of 0", rows::ACKS_0, |s, _| {
        let to = To::name(&s.topic("a")?);
        s.send(2, &ProduceRequest { acks: 0, ..produce(&to, message(1, b"value")) })?;
        s.ask(12, &fetch(&to, 0));
        Ok(())
    })
    .but(const { &[differs("D-51")] }),
];
