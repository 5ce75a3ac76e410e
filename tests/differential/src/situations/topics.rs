//! CreateTopics and DeleteTopics.

use sluice_protocol::KString;
use sluice_protocol::messages::create_topics::{CreatableReplicaAssignment, CreatableTopic, CreatableTopicConfig};
use sluice_protocol::messages::delete_topics::DeleteTopicState;
use sluice_protocol::messages::{CreateTopicsRequest, DeleteTopicsRequest};
use uuid::Uuid;

use crate::dump::Node;
use crate::requests::{NO_SUCH_ID, To, create, fetch, metadata, metadata_by_id, new_topic, produce};
use crate::rows;
use crate::session::Session;
use crate::situation::{Situation, differs, differs_at, family, situation};

/// The configs of a topic are a situation of their own (`configs_told`): elsewhere they would repeat one difference.
fn without_configs(answer: &mut Node, _prefix: &str) {
    if let Some(Node::List(topics)) = answer.field_mut("topics") {
        for topic in topics {
            if let Some(configs @ Node::List(_)) = topic.field_mut("configs") {
                let is_empty = *configs == Node::List(Vec::new());
                *configs = Node::Leaf(if is_empty { "[]".to_owned() } else { "‹some›".to_owned() });
            }
        }
    }
}

/// Kafka's results are in no order.
fn sorted(answer: &mut Node, prefix: &str) {
    without_configs(answer, prefix);
    answer.sort("topics");
    answer.sort("responses");
}

/// Of very many topics, the first and the last ones.
fn first_and_last(answer: &mut Node, prefix: &str) {
    sorted(answer, prefix);
    for list in ["topics", "responses"] {
        if let Some(Node::List(topics)) = answer.field_mut(list) {
            topics.drain(2..topics.len().saturating_sub(2).max(2));
        }
    }
}

fn assigned(name: &KString, partitions: &[(i32, &[i32])]) -> CreatableTopic {
    let assignment = |(partition_index, brokers): &(i32, &[i32])| CreatableReplicaAssignment {
        partition_index: *partition_index,
        broker_ids: brokers.to_vec(),
    };
    CreatableTopic { assignments: partitions.iter().map(assignment).collect(), ..new_topic(name, -1, -1) }
}

fn configured(name: &KString, configs: &[(&str, Option<&str>)]) -> CreatableTopic {
    let config = |(name, value): &(&str, Option<&str>)| CreatableTopicConfig {
        name: KString::from(*name),
        value: value.map(KString::from),
    };
    CreatableTopic { configs: configs.iter().map(config).collect(), ..new_topic(name, 1, 1) }
}

fn by_name(name: &KString) -> DeleteTopicState {
    DeleteTopicState { name: Some(name.clone()), topic_id: Uuid::nil() }
}

fn by_id(id: Uuid) -> DeleteTopicState {
    DeleteTopicState { name: None, topic_id: id }
}

fn delete_states(topics: Vec<DeleteTopicState>) -> DeleteTopicsRequest {
    DeleteTopicsRequest { topics, topic_names: Vec::new(), timeout_ms: 20_000 }
}

fn delete_names(names: &[&KString], version: i16) -> DeleteTopicsRequest {
    if version >= 6 {
        return delete_states(names.iter().map(|name| by_name(name)).collect());
    }
    let topic_names = names.iter().map(|name| (*name).clone()).collect();
    DeleteTopicsRequest { topics: Vec::new(), topic_names, timeout_ms: 20_000 }
}

/// Asks for a config of a new topic, and records what came of it.
fn try_config(s: &mut Session, name: &str, value: Option<&str>) {
    let topic = s.name(&format!("{name}-{}", value.unwrap_or("null")).replace([' ', ',', ':', '*'], "_"));
    s.ask_shaped(7, &create(vec![configured(&topic, &[(name, value)])]), without_configs);
}

pub(super) const ALL: &[Situation] = &[
    family("a topic is created, and is there", rows::CREATE_TOPICS, 2..=7, |s, v| {
        let name = s.name("a");
        s.ask_shaped(v, &create(vec![new_topic(&name, 3, 1)]), without_configs);
        s.await_topic(&name)?;
        s.ask(12, &metadata(&[&name]));
        Ok(())
    }),
    family("a topic that is there already", rows::CREATE_TOPICS, 2..=7, |s, v| {
        let name = s.topic("a")?;
        s.ask_shaped(v, &create(vec![new_topic(&name, 3, 1)]), without_configs);
        Ok(())
    }),
    family("numbers of partitions that cannot be", rows::CREATE_TOPICS, 2..=7, |s, v| {
        for (short, partitions) in [("zero", 0), ("below", -2), ("far-below", i32::MIN)] {
            let name = s.name(short);
            s.ask_shaped(v, &create(vec![new_topic(&name, partitions, 1)]), without_configs);
        }
        Ok(())
    }),
    situation("a topic of 2147483647 partitions", rows::CREATE_TOPICS, |s, _| {
        let name = s.name("a");
        let begun = std::time::Instant::now();
        s.ask_shaped(7, &create(vec![new_topic(&name, i32::MAX, 1)]), without_configs);
        s.note("quickly", begun.elapsed().as_secs() < 20);
        Ok(())
    }),
    situation("more than 10000 partitions in one request", rows::CREATE_TOPICS, |s, _| {
        let topics = vec![new_topic(&s.name("a"), 5_000, 1), new_topic(&s.name("b"), 5_001, 1)];
        s.ask_shaped(7, &create(topics.clone()), sorted);
        s.ask_shaped(7, &CreateTopicsRequest { validate_only: true, ..create(topics) }, sorted);
        s.ask_shaped(7, &create(vec![new_topic(&s.name("c"), 10_001, 1)]), sorted);
        Ok(())
    }),
    situation("10000 topics in one request, none of them good", rows::CREATE_TOPICS, |s, _| {
        let begun = std::time::Instant::now();
        let topics = (0..10_000).map(|n| new_topic(&s.name(&format!("{n}")), 0, 1)).collect();
        s.ask_shaped(7, &create(topics), |answer, prefix| {
            sorted(answer, prefix);
            if let Some(Node::List(topics)) = answer.field_mut("topics") {
                topics.drain(2..topics.len().min(9_998));
            }
        });
        s.note("quickly", begun.elapsed().as_secs() < 20);
        Ok(())
    }),
    family("replication factors that cannot be", rows::CREATE_TOPICS, 2..=7, |s, v| {
        for (short, factor) in [("zero", 0), ("below", -2), ("four", 4), ("most", i16::MAX)] {
            let name = s.name(short);
            s.ask_shaped(v, &create(vec![new_topic(&name, 1, factor)]), without_configs);
        }
        Ok(())
    }),
    family("more replicas than there are brokers", rows::CREATE_TOPICS, 2..=7, |s, v| {
        for (short, factor) in [("two", 2), ("three", 3)] {
            let name = s.name(short);
            s.ask_shaped(v, &create(vec![new_topic(&name, 1, factor)]), without_configs);
        }
        Ok(())
    })
    .but(const { &[differs("D-06")] }),
    family("defaults by -1", rows::CREATE_TOPICS, 2..=7, |s, v| {
        let (a, b, c) = (s.name("a"), s.name("b"), s.name("c"));
        let topics = vec![new_topic(&a, -1, -1), new_topic(&b, -1, 1), new_topic(&c, 2, -1)];
        s.ask_shaped(v, &create(topics), sorted);
        Ok(())
    }),
    family("validate_only creates nothing", rows::CREATE_TOPICS, 2..=7, |s, v| {
        let (a, there) = (s.name("a"), s.topic("there")?);
        let topics = vec![new_topic(&a, 2, 1), new_topic(&there, 2, 1), new_topic(&s.name("bad"), 0, 1)];
        s.ask_shaped(v, &CreateTopicsRequest { validate_only: true, ..create(topics) }, sorted);
        s.ask(12, &metadata(&[&a]));
        Ok(())
    }),
    family("names that are not legal in CreateTopics", rows::ILLEGAL_NAME, 2..=7, |s, v| {
        for name in ["", ".", "..", "a b", "a/b", "a\0b", "ü", "a,b", "a:b"] {
            s.ask_shaped(v, &create(vec![new_topic(&KString::from(name), 1, 1)]), without_configs);
        }
        s.ask_shaped(v, &create(vec![new_topic(&KString::from("x".repeat(250)), 1, 1)]), without_configs);
        Ok(())
    }),
    situation("a name of 249 bytes is legal, one of 32767 is not", rows::ILLEGAL_NAME, |s, _| {
        let short = s.name("");
        let longest = KString::from(format!("{short}{}", "x".repeat(249 - short.len())));
        s.ask_shaped(7, &create(vec![new_topic(&longest, 1, 1)]), without_configs);
        s.ask_shaped(7, &create(vec![new_topic(&KString::from("x".repeat(32_767)), 1, 1)]), without_configs);
        s.ask_shaped(4, &create(vec![new_topic(&KString::from("x".repeat(32_767)), 1, 1)]), without_configs);
        Ok(())
    })
    .but(const { &[differs_at("D-41", "2. CreateTopics"), differs_at("D-41", "3. CreateTopics")] }),
    situation("names that differ in a dot and an underscore collide", rows::CREATE_TOPICS, |s, _| {
        let (dot, underscore) = (s.name("a.b"), s.name("a_b"));
        s.ask_shaped(7, &create(vec![new_topic(&dot, 1, 1)]), without_configs);
        s.ask_shaped(7, &create(vec![new_topic(&underscore, 1, 1)]), without_configs);
        Ok(())
    }),
    situation("names that collide in one request", rows::CREATE_TOPICS, |s, _| {
        let (dot, underscore) = (s.name("a.b"), s.name("a_b"));
        s.ask_shaped(7, &create(vec![new_topic(&dot, 1, 1), new_topic(&underscore, 1, 1)]), sorted);
        Ok(())
    })
    .but(const { &[differs_at("D-45", "topics[1]")] }),
    family("a topic twice in one CreateTopics", rows::CREATE_TOPICS, 2..=7, |s, v| {
        let (a, b) = (s.name("a"), s.name("b"));
        s.ask_shaped(v, &create(vec![new_topic(&a, 1, 1), new_topic(&b, 1, 1), new_topic(&a, 2, 1)]), sorted);
        s.ask(12, &metadata(&[&a]));
        Ok(())
    }),
    family("a CreateTopics of nothing", rows::CREATE_TOPICS, 2..=7, |s, v| {
        s.ask(v, &create(Vec::new()));
        Ok(())
    }),
    situation("good and bad topics in one CreateTopics", rows::CREATE_TOPICS, |s, _| {
        let there = s.topic("there")?;
        let topics = vec![
            new_topic(&s.name("good"), 2, 1),
            new_topic(&there, 1, 1),
            new_topic(&KString::from("a b"), 1, 1),
            new_topic(&s.name("none"), 0, 1),
        ];
        s.ask_shaped(7, &create(topics), sorted);
        Ok(())
    }),
    situation("results of CreateTopics come in the order of the request", rows::CREATE_TOPICS, |s, _| {
        let topics = ["d", "a", "c", "b"].map(|short| new_topic(&s.name(short), 1, 1)).to_vec();
        s.ask_shaped(7, &create(topics), without_configs);
        Ok(())
    }),
    // ---- assignments ---------------------------------------------------------------------------------------------
    family("an assignment to the one broker", rows::CREATE_TOPICS, 2..=7, |s, v| {
        let name = s.name("a");
        s.ask_shaped(v, &create(vec![assigned(&name, &[(1, &[1]), (0, &[1]), (2, &[1])])]), without_configs);
        Ok(())
    }),
    situation("an assignment to brokers that are not there", rows::CREATE_TOPICS, |s, _| {
        for (short, brokers) in [("other", &[7][..]), ("two", &[1, 2]), ("below", &[-1])] {
            let name = s.name(short);
            s.ask_shaped(7, &create(vec![assigned(&name, &[(0, brokers)])]), without_configs);
        }
        Ok(())
    })
    .but(const { &[differs_at("D-08", "1. CreateTopics"), differs_at("D-08", "2. CreateTopics")] }),
    situation("assignments whose shape is wrong", rows::CREATE_TOPICS, |s, _| {
        type Assignment<'a> = &'a [(i32, &'a [i32])];
        let wrong: [(&str, Assignment<'_>); 7] = [
            ("twice", &[(0, &[1]), (0, &[1])]),
            ("from-one", &[(1, &[1])]),
            ("gap", &[(0, &[1]), (2, &[1])]),
            ("nobody", &[(0, &[])]),
            ("same", &[(0, &[1, 1])]),
            ("negative", &[(-1, &[1])]),
            ("one-empty", &[(0, &[1]), (1, &[])]),
        ];
        for (short, assignment) in wrong {
            let name = s.name(short);
            s.ask_shaped(7, &create(vec![assigned(&name, assignment)]), without_configs);
        }
        Ok(())
    }),
    situation("an assignment beside numbers", rows::CREATE_TOPICS, |s, _| {
        for (short, partitions, factor) in [("both", 1, 1), ("partitions", 1, -1), ("factor", -1, 1), ("zero", 0, -1)] {
            let name = s.name(short);
            let topic = CreatableTopic {
                num_partitions: partitions,
                replication_factor: factor,
                ..assigned(&name, &[(0, &[1])])
            };
            s.ask_shaped(7, &create(vec![topic]), without_configs);
        }
        Ok(())
    }),
    // ---- configs -------------------------------------------------------------------------------------------------
    situation("configs that there are not", rows::CREATE_TOPICS, |s, _| {
        for name in ["no.such.config", "", "Retention.Ms", "log.retention.ms", "broker.id"] {
            try_config(s, name, Some("1"));
        }
        Ok(())
    }),
    situation("a config without a value", rows::CREATE_TOPICS, |s, _| {
        try_config(s, "retention.ms", None);
        try_config(s, "no.such.config", None);
        Ok(())
    }),
    situation("a config twice in one topic", rows::CREATE_TOPICS, |s, _| {
        let name = s.name("a");
        let twice = configured(&name, &[("max.message.bytes", Some("2000")), ("max.message.bytes", Some("3000"))]);
        s.ask_shaped(7, &create(vec![twice]), without_configs);
        Ok(())
    }),
    situation("values of max.message.bytes", rows::CREATE_TOPICS, |s, _| {
        for value in ["0", "1", "-1", "2147483647", "2147483648", "abc", "", " 5 ", "1.5"] {
            try_config(s, "max.message.bytes", Some(value));
        }
        Ok(())
    }),
    situation("the configs that a created topic is told with", rows::CREATE_TOPICS, |s, _| {
        let name = s.name("a");
        s.ask_shaped(7, &create(vec![configured(&name, &[("max.message.bytes", Some("2000"))])]), |answer, _| {
            answer.sort("configs");
        });
        Ok(())
    })
    .but(const { &[differs_at("D-65", "config_source")] }),
    // ---- DeleteTopics --------------------------------------------------------------------------------------------
    family("a topic is deleted, and is gone", rows::DELETE_TOPICS, 1..=6, |s, v| {
        let name = s.topic("a")?;
        s.ask(v, &delete_names(&[&name], v));
        s.await_no_topic(&name)?;
        s.ask(12, &metadata(&[&name]));
        s.ask(v, &delete_names(&[&name], v));
        Ok(())
    }),
    family("a topic that is not there is not deleted", rows::DELETE_TOPICS, 1..=6, |s, v| {
        for name in [s.name("none"), KString::from("a b"), KString::from(""), KString::from("..")] {
            s.ask(v, &delete_names(&[&name], v));
        }
        Ok(())
    }),
    family("a DeleteTopics of nothing", rows::DELETE_TOPICS, 1..=6, |s, v| {
        s.ask(v, &delete_names(&[], v));
        Ok(())
    }),
    family("a topic twice in one DeleteTopics", rows::DELETE_TOPICS, 1..=6, |s, v| {
        let (a, none) = (s.topic("a")?, s.name("none"));
        s.ask_shaped(v, &delete_names(&[&a, &a, &none, &none], v), sorted);
        s.ask_shaped(12, &metadata(&[&a]), sorted);
        Ok(())
    }),
    situation("topics are deleted by id", rows::DELETE_TOPICS, |s, _| {
        let name = s.topic("a")?;
        let id = s.topic_id(&name)?;
        s.ask(6, &delete_states(vec![by_id(id)]));
        s.await_no_topic(&name)?;
        s.ask(6, &delete_states(vec![by_id(id)]));
        s.ask(6, &delete_states(vec![by_id(NO_SUCH_ID)]));
        Ok(())
    }),
    situation("an id twice in one DeleteTopics", rows::DELETE_TOPICS, |s, _| {
        let name = s.topic("a")?;
        let id = s.topic_id(&name)?;
        s.ask(6, &delete_states(vec![by_id(id), by_id(id)]));
        s.ask(6, &delete_states(vec![by_id(NO_SUCH_ID), by_id(NO_SUCH_ID), by_id(NO_SUCH_ID)]));
        s.ask_shaped(12, &metadata(&[&name]), sorted);
        Ok(())
    }),
    situation("the name and the id of one topic in one DeleteTopics", rows::DELETE_TOPICS, |s, _| {
        let name = s.topic("a")?;
        let id = s.topic_id(&name)?;
        s.ask_shaped(6, &delete_states(vec![by_name(&name), by_id(id)]), sorted);
        Ok(())
    }),
    situation(
        "a topic of DeleteTopics with both a name and an id, and one with neither",
        rows::DELETE_TOPICS,
        |s, _| {
            let name = s.topic("a")?;
            let id = s.topic_id(&name)?;
            s.ask(6, &delete_states(vec![DeleteTopicState { name: Some(name.clone()), topic_id: id }]));
            s.ask(6, &delete_states(vec![DeleteTopicState { name: None, topic_id: Uuid::nil() }]));
            s.ask(12, &metadata(&[&name]));
            Ok(())
        },
    ),
    situation("a topic made again has another id and none of the records", rows::DELETE_TOPICS, |s, _| {
        let name = s.topic("a")?;
        let old = s.topic_id(&name)?;
        s.prepare(9, &produce(&To::name(&name), crate::batches::batch(&["old"])))?;
        s.ask(6, &delete_names(&[&name], 6));
        s.await_no_topic(&name)?;
        s.topic("a")?;
        let new = s.topic_id(&name)?;
        s.note("another id", old != new);
        s.ask(12, &fetch(&To::name(&name), 0));
        s.ask(13, &fetch(&To::id(old), 0));
        s.ask(12, &metadata_by_id(&[old]));
        Ok(())
    }),
    situation("topics that are made and deleted in no time", rows::CREATE_TOPICS, |s, _| {
        let (a, there) = (s.name("a"), s.topic("there")?);
        s.ask_shaped(7, &CreateTopicsRequest { timeout_ms: 0, ..create(vec![new_topic(&a, 0, 1)]) }, without_configs);
        let none = s.name("none");
        s.ask(6, &DeleteTopicsRequest { timeout_ms: 0, ..delete_names(&[&none], 6) });
        s.ask(12, &metadata(&[&there]));
        Ok(())
    })
    .but(const { &[differs_at("D-53", "1. CreateTopics"), differs_at("D-53", "2. DeleteTopics")] }),
    situation("10000 topics that there are not are deleted", rows::DELETE_TOPICS, |s, _| {
        let names: Vec<KString> = (0..10_000).map(|n| s.name(&format!("{n}"))).collect();
        let begun = std::time::Instant::now();
        s.ask_shaped(6, &delete_names(&names.iter().collect::<Vec<_>>(), 6), first_and_last);
        s.ask_shaped(12, &metadata(&names.iter().collect::<Vec<_>>()), first_and_last);
        s.note("quickly", begun.elapsed().as_secs() < 20);
        Ok(())
    }),
    situation("names of every length and with NUL, in every admin request", rows::ILLEGAL_NAME, |s, _| {
        for name in [String::new(), "a\0b".to_owned(), "..".to_owned(), "x".repeat(250), "x".repeat(32_767)] {
            let name = KString::from(name);
            s.ask(5, &delete_names(&[&name], 5));
            s.ask(9, &metadata(&[&name]));
        }
        Ok(())
    }),
];
