//! Brokers with `auto.create.topics.enable=false`: what is asked of a topic that is not there, and that it is not there
//! afterwards either.

use sluice_protocol::KString;
use sluice_protocol::messages::MetadataRequest;

use super::configs::broker_config;
use super::responses_sorted;
use crate::batches::batch;
use crate::requests::{NO_SUCH_ID, To, fetch, list_offset, metadata, metadata_by_id, produce};
use crate::rows;
use crate::session::Session;
use crate::situation::{Situation, family, situation};

/// As a client asks that would have it created.
fn asking_for(name: &KString) -> MetadataRequest {
    MetadataRequest { allow_auto_topic_creation: true, ..metadata(&[name]) }
}

/// What there is under this name: nothing, where the answers before did what they say.
fn look(s: &mut Session, name: &KString) {
    s.ask(9, &metadata(&[name]));
}

pub(super) const ALL: &[Situation] = &[
    family("Metadata of a topic that is not there, where none is created", rows::UNKNOWN_TOPIC, 0..=13, |s, v| {
        let none = s.name("none");
        s.ask(v, &asking_for(&none));
        s.ask(v, &asking_for(&none));
        look(s, &none);
        s.ask(v, &asking_for(&KString::from("a b")));
        Ok(())
    })
    .where_none_is_created(),
    family("Produce to a topic that is not there, where none is created", rows::UNKNOWN_TOPIC, 3..=12, |s, v| {
        let none = s.name("none");
        s.ask(v, &produce(&To::name(&none), batch(&["x"])));
        look(s, &none);
        s.ask(v, &produce(&To::name(&KString::from("..")), batch(&["x"])));
        Ok(())
    })
    .where_none_is_created(),
    family("Produce by an id that no topic has, where none is created", rows::UNKNOWN_ID, 13..=13, |s, v| {
        s.ask(v, &produce(&To::id(NO_SUCH_ID), batch(&["x"])));
        Ok(())
    })
    .where_none_is_created(),
    family("Fetch of a topic that is not there, where none is created", rows::UNKNOWN_TOPIC, 4..=12, |s, v| {
        let none = s.name("none");
        s.ask_shaped(v, &fetch(&To::name(&none), 0), responses_sorted);
        look(s, &none);
        Ok(())
    })
    .where_none_is_created(),
    family("offsets of a topic that is not there, where none is created", rows::UNKNOWN_TOPIC, 1..=11, |s, v| {
        let none = s.name("none");
        s.ask(v, &list_offset(&none, 0, -1));
        look(s, &none);
        Ok(())
    })
    .where_none_is_created(),
    family("Metadata by an id that no topic has, where none is created", rows::UNKNOWN_ID, 12..=13, |s, v| {
        s.ask(v, &metadata_by_id(&[NO_SUCH_ID]));
        Ok(())
    })
    .where_none_is_created(),
    situation("a topic that is created is there, where no other is", rows::UNKNOWN_TOPIC, |s, _| {
        let (there, none) = (s.topic_with("there", 2, &[])?, s.name("none"));
        s.ask_shaped(
            12,
            &MetadataRequest { allow_auto_topic_creation: true, ..metadata(&[&there, &none]) },
            |answer, _| {
                answer.sort("topics");
                answer.sort("partitions");
            },
        );
        s.ask(9, &produce(&To::name(&there), batch(&["x"])));
        s.ask(12, &fetch(&To::name(&there), 0));
        Ok(())
    })
    .where_none_is_created(),
    situation("the setting is told, where none is created", "DescribeConfigs", |s, _| {
        s.ask(4, &broker_config("auto.create.topics.enable"));
        Ok(())
    })
    .where_none_is_created(),
];
