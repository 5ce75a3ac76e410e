//! ListOffsets (key 2), versions 1–11.
//!
//! Behaviour: everything is kept in one tier, so that the local start (−4) is the start, and nothing was tiered (−5) or waits
//! for it (−6). When no record is that late, offset, timestamp and leader epoch are −1, without an error.
//! Version notes: 2 isolation level; 4 leader epochs (KIP-320); 7 −3 (KIP-734); 8 −4 (KIP-405); 9 −5 (KIP-1005);
//! 11 −6 (KIP-1023).
//! Errors, per partition: 3 unknown, 35 a special timestamp that the version does not have, 42 a partition named twice or an
//! unknown isolation level, 75 a leader epoch above 0, 2 damaged records, 56 what could not be decided or read now.

use std::collections::BTreeMap;

use futures_util::future::BoxFuture;
use sluice_engine::{EngineError, EngineResult, OffsetAsk, OffsetFound, OffsetSpec, TopicRef};
use sluice_protocol::messages::list_offsets::{
    ListOffsetsPartition, ListOffsetsPartitionResponse, ListOffsetsTopic, ListOffsetsTopicResponse,
};
use sluice_protocol::messages::{ListOffsetsRequest, ListOffsetsResponse};
use sluice_protocol::{DecodeError, ErrorCode};

use super::{LEADER_EPOCH, isolation_from, leader_epoch_from};
use crate::dispatch::{Call, run_alone};
use crate::errors::list_offsets_code;
use crate::request::{Outcome, Stage};

/// Answers carry a leader epoch from this version on.
const LEADER_EPOCH_SINCE: i16 = 4;

pub(crate) fn start(call: Call) -> Result<BoxFuture<'static, Stage>, DecodeError> {
    run_alone(call, handle)
}

async fn handle(call: Call, request: ListOffsetsRequest) -> Outcome {
    // One entry per partition asked for, in order: to be looked up, or refused already.
    let refusals = refuse(&call, &request);
    let asked = request.topics.iter().flat_map(|topic| topic.partitions.iter().map(move |asked| (topic, asked)));
    let good = asked.zip(&refusals).filter(|(_, refusal)| refusal.is_none());
    let asks = good.map(|((topic, asked), _)| ask(topic, asked)).collect();
    let found = look_up(&call, &request, asks).await;
    let mut found = found.into_iter();
    let mut refusals = refusals.into_iter();
    let mut tell = |asked: &ListOffsetsPartition| match refusals.next().flatten() {
        Some(code) => refused(asked, code),
        None => tell_partition(&call, asked, found.next()),
    };
    let tell_topic = |topic: &ListOffsetsTopic| ListOffsetsTopicResponse {
        name: topic.name.clone(),
        partitions: topic.partitions.iter().map(&mut tell).collect(),
    };
    let topics = request.topics.iter().map(tell_topic).collect();
    call.answer(&ListOffsetsResponse { topics, ..ListOffsetsResponse::default() })
}

async fn look_up(call: &Call, request: &ListOffsetsRequest, asks: Vec<OffsetAsk>) -> Vec<EngineResult<OffsetFound>> {
    let Some(isolation) = isolation_from(request.isolation_level) else {
        return Vec::new();
    };
    if asks.is_empty() {
        return Vec::new();
    }
    // It has a barrier of its own, for every request and not only the first (T5).
    call.service.engine.list_offsets(asks, isolation).await
}

/// What is wrong with the request itself, for each partition in order.
fn refuse(call: &Call, request: &ListOffsetsRequest) -> Vec<Option<ErrorCode>> {
    let mut times_asked = BTreeMap::<_, usize>::new();
    for topic in &request.topics {
        for asked in &topic.partitions {
            let times = times_asked.entry((&topic.name, asked.partition_index)).or_default();
            *times = times.saturating_add(1);
        }
    }
    let has_isolation = isolation_from(request.isolation_level).is_some();
    let refuse_one = |topic: &ListOffsetsTopic, asked: &ListOffsetsPartition| {
        let is_twice = times_asked.get(&(&topic.name, asked.partition_index)).is_some_and(|times| *times > 1);
        if is_twice || !has_isolation {
            return Some(ErrorCode::INVALID_REQUEST);
        }
        spec_of(asked.timestamp, call.version).is_none().then_some(ErrorCode::UNSUPPORTED_VERSION)
    };
    let of_topic =
        |topic: &ListOffsetsTopic| topic.partitions.iter().map(|asked| refuse_one(topic, asked)).collect::<Vec<_>>();
    request.topics.iter().flat_map(of_topic).collect()
}

fn ask(topic: &ListOffsetsTopic, asked: &ListOffsetsPartition) -> OffsetAsk {
    OffsetAsk {
        topic: TopicRef::Name(topic.name.as_str().to_owned()),
        partition: asked.partition_index,
        // Refused already where there is none.
        spec: spec_of(asked.timestamp, i16::MAX).unwrap_or(OffsetSpec::Latest),
        leader_epoch: leader_epoch_from(asked.current_leader_epoch),
    }
}

/// What a timestamp asks for in a version; `None` where negative ones have no meaning.
fn spec_of(timestamp: i64, version: i16) -> Option<OffsetSpec> {
    let (spec, since) = match timestamp {
        -1 => (OffsetSpec::Latest, 1),
        -2 => (OffsetSpec::Earliest, 1),
        -3 => (OffsetSpec::MaxTimestamp, 7),
        -4 => (OffsetSpec::EarliestLocal, 8),
        -5 => (OffsetSpec::LatestTiered, 9),
        -6 => (OffsetSpec::EarliestPendingUpload, 11),
        0.. => (OffsetSpec::Timestamp(timestamp), 1),
        _ => return None,
    };
    (version >= since).then_some(spec)
}

fn refused(asked: &ListOffsetsPartition, error_code: ErrorCode) -> ListOffsetsPartitionResponse {
    let partition_index = asked.partition_index;
    ListOffsetsPartitionResponse { partition_index, error_code, ..ListOffsetsPartitionResponse::default() }
}

fn tell_partition(
    call: &Call,
    asked: &ListOffsetsPartition,
    found: Option<EngineResult<OffsetFound>>,
) -> ListOffsetsPartitionResponse {
    let missing = || Err(EngineError::StorageUnavailable("the partition was not answered".to_owned()));
    match found.unwrap_or_else(missing) {
        Ok(OffsetFound { offset, timestamp }) => ListOffsetsPartitionResponse {
            offset,
            timestamp,
            leader_epoch: if offset >= 0 && call.version >= LEADER_EPOCH_SINCE { LEADER_EPOCH } else { -1 },
            ..refused(asked, ErrorCode::NONE)
        },
        Err(error) => refused(asked, list_offsets_code(&error)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn special_timestamps_exist_from_their_version_on() {
        for (timestamp, since) in [(-1, 1), (-2, 1), (-3, 7), (-4, 8), (-5, 9), (-6, 11), (0, 1), (i64::MAX, 1)] {
            for version in 1..=11 {
                assert_eq!(spec_of(timestamp, version).is_some(), version >= since, "{timestamp} in {version}");
            }
        }
        assert_eq!(spec_of(-7, 11), None);
        assert_eq!(spec_of(i64::MIN, 11), None);
    }
}
