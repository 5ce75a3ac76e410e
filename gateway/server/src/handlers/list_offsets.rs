//! ListOffsets (key 2), versions 0–11; advertised from 1 on, as by Kafka 4.3.
//!
//! Behaviour: everything is kept in one tier, so that the local start (−4) is the start, and nothing was tiered (−5) or waits
//! for it (−6). When no record is that late, offset, timestamp and leader epoch are −1, without an error. Each partition is
//! told once.
//! Version notes: 0 a list of offsets, of which there are two at most: the end and the start; 2 isolation level; 4 leader
//! epochs (KIP-320); 7 −3 (KIP-734); 8 −4 (KIP-405); 9 −5 (KIP-1005); 11 −6 (KIP-1023).
//! Errors, per partition: 3 unknown, 35 a special timestamp that the version does not have, 42 a partition named twice or an
//! unknown isolation level, 75 a leader epoch above 0, 2 damaged records, 56 what could not be decided or read now.

use std::collections::BTreeMap;

use futures_util::future::BoxFuture;
use sluice_engine::{EngineResult, OffsetAsk, OffsetFound, OffsetSpec, OldOffsetAsk, OldTimestamp, TopicRef};
use sluice_protocol::messages::list_offsets::{
    ListOffsetsPartition, ListOffsetsPartitionResponse, ListOffsetsTopic, ListOffsetsTopicResponse,
};
use sluice_protocol::messages::{ListOffsetsRequest, ListOffsetsResponse};
use sluice_protocol::{DecodeError, ErrorCode, KString};

use super::{LEADER_EPOCH, isolation_from, leader_epoch_from, place_of, size_from};
use crate::dispatch::{Call, run_alone};
use crate::errors::list_offsets_code;
use crate::request::{Outcome, Stage};

/// Answers carry a leader epoch from this version on.
const LEADER_EPOCH_SINCE: i16 = 4;

pub(crate) fn start(call: Call) -> Result<BoxFuture<'static, Stage>, DecodeError> {
    run_alone(call, handle)
}

/// Lists of offsets instead of one and its timestamp, up to this version.
const LISTS_UNTIL: i16 = 0;

/// A partition asked for.
struct Asked<'a> {
    topic: &'a KString,
    partition: &'a ListOffsetsPartition,
    is_twice: bool,
}

async fn handle(call: Call, request: ListOffsetsRequest) -> Outcome {
    let asked = name_once(&request.topics);
    let has_isolation = isolation_from(request.isolation_level).is_some();
    // In order: looked up, or refused already.
    let mut refusals = Vec::with_capacity(asked.len());
    refusals.extend(asked.iter().map(|asked| refuse(asked, call.version, has_isolation)));
    let good: Vec<&Asked<'_>> =
        asked.iter().zip(&refusals).filter(|(_, refusal)| refusal.is_none()).map(|(asked, _)| asked).collect();
    let mut found = look_up(&call, &request, &good).await.into_iter();
    let mut places = BTreeMap::new();
    let mut topics: Vec<ListOffsetsTopicResponse> = Vec::new();
    for (asked, refusal) in asked.iter().zip(refusals) {
        let told = match refusal {
            Some(code) => refused(asked.partition, code),
            None => found.next().unwrap_or_else(|| refused(asked.partition, ErrorCode::KAFKA_STORAGE_ERROR)),
        };
        let place = place_of(&mut places, asked.topic, topics.len());
        if place == topics.len() {
            topics.push(ListOffsetsTopicResponse { name: asked.topic.clone(), partitions: Vec::new() });
        }
        if let Some(topic) = topics.get_mut(place) {
            topic.partitions.push(told);
        }
    }
    call.answer(&ListOffsetsResponse { topics, ..ListOffsetsResponse::default() })
}

/// Each partition where it is named first.
fn name_once(topics: &[ListOffsetsTopic]) -> Vec<Asked<'_>> {
    let mut places = BTreeMap::new();
    let mut once: Vec<Asked<'_>> = Vec::new();
    for topic in topics {
        for partition in &topic.partitions {
            let place = place_of(&mut places, (&topic.name, partition.partition_index), once.len());
            match once.get_mut(place) {
                Some(first) => first.is_twice = true,
                None => once.push(Asked { topic: &topic.name, partition, is_twice: false }),
            }
        }
    }
    once
}

/// What is wrong with the request itself.
fn refuse(asked: &Asked<'_>, version: i16, has_isolation: bool) -> Option<ErrorCode> {
    if asked.is_twice || !has_isolation {
        return Some(ErrorCode::INVALID_REQUEST);
    }
    // Version 0 knows no others; it looks for files that were written before, and there are none before 1970.
    let is_known = version <= LISTS_UNTIL || spec_of(asked.partition.timestamp, version).is_some();
    (!is_known).then_some(ErrorCode::UNSUPPORTED_VERSION)
}

/// The answers to what is asked rightly, in order.
async fn look_up(call: &Call, request: &ListOffsetsRequest, asked: &[&Asked<'_>]) -> Vec<ListOffsetsPartitionResponse> {
    let Some(isolation) = isolation_from(request.isolation_level).filter(|_| !asked.is_empty()) else {
        return Vec::new();
    };
    // Both have a barrier of their own, for every request and not only the first (T5).
    if call.version <= LISTS_UNTIL {
        let found = call.service.engine.list_old_offsets(asked.iter().map(|asked| ask_old(asked)).collect()).await;
        return asked.iter().zip(found).map(|(asked, found)| tell_old(asked.partition, found)).collect();
    }
    let found = call.service.engine.list_offsets(asked.iter().map(|asked| ask(asked)).collect(), isolation).await;
    asked.iter().zip(found).map(|(asked, found)| tell(asked.partition, call.version, found)).collect()
}

fn ask(asked: &Asked<'_>) -> OffsetAsk {
    OffsetAsk {
        topic: TopicRef::Name(asked.topic.as_str().to_owned()),
        partition: asked.partition.partition_index,
        // Refused already where there is none.
        spec: spec_of(asked.partition.timestamp, i16::MAX).unwrap_or(OffsetSpec::Latest),
        leader_epoch: leader_epoch_from(asked.partition.current_leader_epoch),
    }
}

fn ask_old(asked: &Asked<'_>) -> OldOffsetAsk {
    OldOffsetAsk {
        topic: TopicRef::Name(asked.topic.as_str().to_owned()),
        partition: asked.partition.partition_index,
        timestamp: match asked.partition.timestamp {
            -1 => OldTimestamp::Latest,
            -2 => OldTimestamp::Earliest,
            at => OldTimestamp::At(at),
        },
        max_offsets: size_from(asked.partition.max_num_offsets),
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

fn tell(asked: &ListOffsetsPartition, version: i16, found: EngineResult<OffsetFound>) -> ListOffsetsPartitionResponse {
    match found {
        Ok(OffsetFound { offset, timestamp }) => ListOffsetsPartitionResponse {
            offset,
            timestamp,
            leader_epoch: if offset >= 0 && version >= LEADER_EPOCH_SINCE { LEADER_EPOCH } else { -1 },
            ..refused(asked, ErrorCode::NONE)
        },
        Err(error) => refused(asked, list_offsets_code(&error)),
    }
}

fn tell_old(asked: &ListOffsetsPartition, found: EngineResult<Vec<i64>>) -> ListOffsetsPartitionResponse {
    match found {
        Ok(old_style_offsets) => ListOffsetsPartitionResponse { old_style_offsets, ..refused(asked, ErrorCode::NONE) },
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
