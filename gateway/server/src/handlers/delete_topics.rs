//! DeleteTopics (key 20), versions 0–6.
//!
//! Behaviour: as Kafka's: the topic goes with its records and with what groups have committed of it; a topic of that name
//! created later has another id and inherits nothing. Its objects stay in the store until they are swept.
//! Version notes: 1 throttle time; 5 an error message; 6 deletes by id as well (KIP-516).
//! Errors, per topic: 3 and 100 unknown, 42 named by both or neither of name and id, or twice, 7 what could not be done now.

use std::collections::BTreeMap;

use futures_util::future::BoxFuture;
use sluice_engine::{EngineError, TopicRef};
use sluice_protocol::messages::delete_topics::{DeletableTopicResult, DeleteTopicState};
use sluice_protocol::messages::{DeleteTopicsRequest, DeleteTopicsResponse};
use sluice_protocol::{DecodeError, KString};

use super::duration_from_ms;
use crate::dispatch::{Call, run_alone};
use crate::errors::admin_code;
use crate::request::{Outcome, Stage};

/// Topics come as name or id from this version on.
const STATES_SINCE: i16 = 6;

pub(crate) fn start(call: Call) -> Result<BoxFuture<'static, Stage>, DecodeError> {
    run_alone(call, handle)
}

async fn handle(call: Call, request: DeleteTopicsRequest) -> Outcome {
    let asked = match call.version {
        STATES_SINCE.. => request.topics,
        _ => request.topic_names.into_iter().map(by_name).collect(),
    };
    let timeout = duration_from_ms(request.timeout_ms, call.service.engine.limits().request_timeout);
    let refs: Vec<Option<TopicRef>> = asked.iter().map(topic_of).collect();
    let mut times: BTreeMap<&TopicRef, u32> = BTreeMap::new();
    refs.iter().flatten().for_each(|topic| *times.entry(topic).or_default() += 1);
    let is_sound = |topic: &Option<TopicRef>| topic.as_ref().is_some_and(|topic| times.get(topic) == Some(&1));
    let wanted: Vec<TopicRef> = refs.iter().filter(|topic| is_sound(topic)).flatten().cloned().collect();
    let mut deleted = call.service.engine.delete_topics(wanted, timeout).await.into_iter();
    let mut responses = Vec::with_capacity(asked.len());
    for (asked, topic) in asked.into_iter().zip(&refs) {
        let outcome = match is_sound(topic) {
            true => deleted.next(),
            false => Some(Err(EngineError::InvalidRequest("a topic is named once, by name or by id".to_owned()))),
        };
        responses.push(match outcome {
            Some(Ok((name, topic_id))) => {
                DeletableTopicResult { name: Some(KString::from(&*name)), topic_id, ..DeletableTopicResult::default() }
            }
            Some(Err(error)) => refused(asked, &error),
            None => refused(asked, &EngineError::OutcomeUnknown("the topic was not answered".to_owned())),
        });
    }
    call.answer(&DeleteTopicsResponse { responses, ..DeleteTopicsResponse::default() })
}

fn by_name(name: KString) -> DeleteTopicState {
    DeleteTopicState { name: Some(name), ..DeleteTopicState::default() }
}

/// The topic, if exactly one of name and id is given.
fn topic_of(asked: &DeleteTopicState) -> Option<TopicRef> {
    match (&asked.name, asked.topic_id.is_nil()) {
        (Some(name), true) => Some(TopicRef::Name(name.as_str().to_owned())),
        (None, false) => Some(TopicRef::Id(asked.topic_id)),
        _ => None,
    }
}

fn refused(asked: DeleteTopicState, error: &EngineError) -> DeletableTopicResult {
    DeletableTopicResult {
        name: asked.name,
        topic_id: asked.topic_id,
        error_code: admin_code(error),
        error_message: Some(KString::from(error.to_string())),
    }
}
