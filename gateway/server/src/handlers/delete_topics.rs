//! DeleteTopics (key 20), versions 0–6.
//!
//! Behaviour: as Kafka's: the topic goes with its records and with what groups have committed of it; a topic of that name
//! created later has another id and inherits nothing. Its objects stay in the store until they are swept.
//! Version notes: 1 throttle time; 5 an error message; 6 deletes by id as well (KIP-516).
//! Errors, per topic: 3 and 100 unknown, 42 named by both or neither of name and id, or more than once (told once), 7 what
//! could not be done now.

use std::collections::{BTreeMap, BTreeSet};

use futures_util::future::BoxFuture;
use sluice_engine::{EngineError, TopicRef, TopicSelection};
use sluice_protocol::messages::delete_topics::{DeletableTopicResult, DeleteTopicState};
use sluice_protocol::messages::{DeleteTopicsRequest, DeleteTopicsResponse};
use sluice_protocol::{DecodeError, KString, Uuid};

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
    let mut planned = plan(asked);
    refuse_same_topics(&call, &mut planned).await;
    let wanted: Vec<TopicRef> = planned.iter().filter_map(|(_, plan)| plan.clone().ok()).collect();
    let mut deleted = call.service.engine.delete_topics(wanted, timeout).await.into_iter();
    let mut responses = Vec::with_capacity(planned.len());
    for (asked, plan) in planned {
        responses.push(match plan.map(|_| deleted.next()) {
            Ok(Some(Ok((name, topic_id)))) => {
                DeletableTopicResult { name: Some(KString::from(&*name)), topic_id, ..DeletableTopicResult::default() }
            }
            Ok(Some(Err(error))) => refused(asked, &error),
            Ok(None) => refused(asked, &EngineError::OutcomeUnknown("the topic was not answered".to_owned())),
            Err(reason) => refused(asked, &EngineError::InvalidRequest(reason.to_owned())),
        });
    }
    call.answer(&DeleteTopicsResponse { responses, ..DeleteTopicsResponse::default() })
}

/// A topic as it was asked for, and what to delete or why not.
type Planned = (DeleteTopicState, Result<TopicRef, &'static str>);

/// What to do about each topic. One that is asked for more than once is told once, as in Kafka.
fn plan(asked: Vec<DeleteTopicState>) -> Vec<Planned> {
    let mut times: BTreeMap<TopicRef, u32> = BTreeMap::new();
    asked.iter().filter_map(topic_of).for_each(|topic| *times.entry(topic).or_default() += 1);
    let mut told = BTreeSet::new();
    let mut planned = Vec::with_capacity(asked.len());
    for asked in asked {
        let plan = match topic_of(&asked) {
            None => Err("a topic is named by its name or by its id"),
            Some(topic) if times.get(&topic) == Some(&1) => Ok(topic),
            Some(topic) if told.insert(topic.clone()) => Err("the topic is in the request more than once"),
            Some(_) => continue,
        };
        planned.push((asked, plan));
    }
    planned
}

/// As Kafka: a topic that is asked for by its name and by its id is refused under both together, and stays.
async fn refuse_same_topics(call: &Call, planned: &mut Vec<Planned>) {
    let ids: BTreeSet<Uuid> = planned.iter().map(|(asked, _)| asked.topic_id).filter(|id| !id.is_nil()).collect();
    let named = planned.iter().filter_map(|(_, plan)| plan.as_ref().ok().filter(|t| matches!(t, TopicRef::Name(_))));
    let names: Vec<TopicRef> = named.cloned().collect();
    if ids.is_empty() || names.is_empty() {
        return;
    }
    // What cannot be found out now is found out when it is to be deleted.
    let described = call.service.engine.describe_topics(TopicSelection::Some(names), false).await.unwrap_or_default();
    let found = described.into_iter().filter_map(|(topic, outcome)| Some((topic, outcome.ok()?.id)));
    let both: BTreeMap<TopicRef, Uuid> = found.filter(|(_, id)| ids.contains(id)).collect();
    let is_told_by_name = |id: &Uuid| both.values().any(|told| told == id);
    planned.retain(|(_, plan)| !matches!(plan, Ok(TopicRef::Id(id)) if is_told_by_name(id)));
    for (asked, plan) in planned {
        if let Some(id) = plan.as_ref().ok().and_then(|topic| both.get(topic)) {
            asked.topic_id = *id;
            *plan = Err("the topic is in the request by its id as well");
        }
    }
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
