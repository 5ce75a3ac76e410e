//! Metadata: null, empty, names and ids, and what it creates.

use sluice_protocol::KString;
use sluice_protocol::messages::MetadataRequest;
use sluice_protocol::messages::metadata::MetadataRequestTopic;
use uuid::Uuid;

use crate::dump::Node;
use crate::requests::{NO_SUCH_ID, metadata, metadata_by_id};
use crate::rows;
use crate::situation::{Situation, differs_at, family, situation};

/// The topics of this session alone, in one order.
fn own(answer: &mut Node, prefix: &str) {
    answer.keep("topics", "name", prefix);
    answer.sort("topics");
}

fn sorted(answer: &mut Node, _prefix: &str) {
    answer.sort("topics");
    answer.sort("partitions");
}

fn everything() -> MetadataRequest {
    MetadataRequest { topics: None, allow_auto_topic_creation: false, ..MetadataRequest::default() }
}

/// As old clients ask: the flag is not in their versions.
fn for_version(mut request: MetadataRequest, version: i16) -> MetadataRequest {
    if version < 4 {
        request.allow_auto_topic_creation = true;
    }
    request
}

pub(super) const ALL: &[Situation] = &[
    family("Metadata of a topic that is there", "Metadata", 0..=13, |s, v| {
        let name = s.topic_with("a", 3, &[])?;
        s.ask_shaped(v, &for_version(metadata(&[&name]), v), sorted);
        Ok(())
    }),
    family("Metadata of a topic that is not there, creating none", rows::UNKNOWN_TOPIC, 4..=13, |s, v| {
        let name = s.name("none");
        s.ask(v, &metadata(&[&name]));
        s.ask(v, &metadata(&[&name]));
        Ok(())
    }),
    family("Metadata of a name that is not legal", rows::ILLEGAL_NAME, 0..=13, |s, v| {
        for name in ["a b", "..", ".", "", "ü", "a/b", "a\0"] {
            s.ask(v, &for_version(metadata(&[&KString::from(name)]), v));
        }
        let long = KString::from("x".repeat(250));
        s.ask(v, &for_version(metadata(&[&long]), v));
        Ok(())
    }),
    situation("an empty array in Metadata 0 asks for all topics", rows::NULL_EMPTY, |s, _| {
        s.topic("a")?;
        s.topic("b")?;
        s.ask_shaped(0, &MetadataRequest { topics: Some(Vec::new()), ..MetadataRequest::default() }, own);
        Ok(())
    }),
    family("an empty array in Metadata asks for none", rows::NULL_EMPTY, 1..=13, |s, v| {
        s.topic("a")?;
        s.ask(v, &for_version(MetadataRequest { topics: Some(Vec::new()), ..everything() }, v));
        Ok(())
    }),
    family("null in Metadata asks for all topics", rows::NULL_EMPTY, 1..=13, |s, v| {
        s.topic("a")?;
        s.topic("b")?;
        s.ask_shaped(v, &for_version(everything(), v), own);
        Ok(())
    }),
    family("Metadata by id", rows::UNKNOWN_ID, 12..=13, |s, v| {
        let name = s.topic("a")?;
        let id = s.topic_id(&name)?;
        s.ask(v, &metadata_by_id(&[id]));
        s.ask(v, &metadata_by_id(&[NO_SUCH_ID]));
        s.ask_shaped(v, &metadata_by_id(&[NO_SUCH_ID, id, id]), sorted);
        s.ask(v, &metadata_by_id(&[Uuid::nil()]));
        Ok(())
    })
    .but(const { &[differs_at("D-41", "4. Metadata")] }),
    family("Metadata by id and by name at once", rows::UNKNOWN_ID, 12..=13, |s, v| {
        let name = s.topic("a")?;
        let id = s.topic_id(&name)?;
        let mut both = metadata_by_id(&[id]);
        both.topics = Some(vec![
            MetadataRequestTopic { topic_id: id, name: None },
            MetadataRequestTopic { topic_id: Uuid::nil(), name: Some(name.clone()) },
        ]);
        s.ask_shaped(v, &both, sorted);
        both.topics = Some(vec![MetadataRequestTopic { topic_id: id, name: Some(name.clone()) }]);
        s.ask(v, &both);
        both.topics = Some(vec![MetadataRequestTopic { topic_id: Uuid::nil(), name: None }]);
        s.ask(v, &both);
        Ok(())
    })
    .but(const { &[differs_at("D-41", "3. Metadata")] }),
    family("Metadata by id or without a name before version 12", rows::UNKNOWN_ID, 10..=11, |s, v| {
        let name = s.topic("a")?;
        let id = s.topic_id(&name)?;
        s.ask(v, &metadata_by_id(&[id]));
        s.hang_up();
        let mut named = metadata(&[&name]);
        named.topics = Some(vec![MetadataRequestTopic { topic_id: id, name: Some(name.clone()) }]);
        s.ask(v, &named);
        Ok(())
    }),
    family("a name that is asked for twice is told once", "Metadata", 4..=13, |s, v| {
        let name = s.topic("a")?;
        let none = s.name("none");
        s.ask_shaped(v, &metadata(&[&name, &name, &none, &none]), sorted);
        Ok(())
    }),
    family("Metadata may create what it is asked for", rows::AUTO_CREATE, 0..=13, |s, v| {
        let name = s.name("new");
        let request = MetadataRequest { allow_auto_topic_creation: true, ..metadata(&[&name]) };
        s.ask(v, &request);
        s.await_topic(&name)?;
        s.ask(v, &request);
        Ok(())
    })
    .but(const { &[differs_at("D-42", "1. Metadata")] }),
    situation("null in Metadata with creation allowed creates nothing", rows::AUTO_CREATE, |s, _| {
        s.ask_shaped(9, &MetadataRequest { allow_auto_topic_creation: true, ..everything() }, own);
        Ok(())
    }),
    family("authorized operations of an id that no topic has", rows::UNKNOWN_ID, 12..=13, |s, v| {
        let mut request = metadata_by_id(&[NO_SUCH_ID]);
        request.include_topic_authorized_operations = true;
        s.ask(v, &request);
        Ok(())
    }),
    family("authorized operations are told where they are asked for", "Metadata", 8..=13, |s, v| {
        let name = s.topic("a")?;
        let none = s.name("none");
        let mut request = metadata(&[&name, &none, &KString::from("a b")]);
        request.include_topic_authorized_operations = true;
        request.include_cluster_authorized_operations = v <= 10;
        s.ask_shaped(v, &request, sorted);
        Ok(())
    }),
];
