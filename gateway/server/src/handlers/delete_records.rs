//! DeleteRecords (key 21), versions 0–2.
//!
//! Behaviour: as Kafka's: the start of the log moves to the offset given, −1 standing for the high watermark; an offset at
//! or below the start changes nothing and is answered with the start. Of a partition named twice the last mention counts.
//! Errors, per partition: 3 unknown, 1 an offset past the high watermark or below −1, 44 a topic that is only compacted,
//! 7 what could not be decided now. The low watermark is then −1.

use std::collections::BTreeMap;
use std::time::Duration;

use futures_util::future::BoxFuture;
use sluice_engine::{DeleteRecordsAsk, EngineResult, PartitionName};
use sluice_protocol::messages::delete_records::{DeleteRecordsPartitionResult, DeleteRecordsTopicResult};
use sluice_protocol::messages::{DeleteRecordsRequest, DeleteRecordsResponse};
use sluice_protocol::{DecodeError, ErrorCode, KString};

use super::{NONE, duration_from_ms};
use crate::dispatch::{Call, run_alone};
use crate::errors::admin_code;
use crate::request::{Outcome, Stage};

/// The offset that stands for the high watermark.
const HIGH_WATERMARK: i64 = -1;

pub(crate) fn start(call: Call) -> Result<BoxFuture<'static, Stage>, DecodeError> {
    run_alone(call, handle)
}

async fn handle(call: Call, request: DeleteRecordsRequest) -> Outcome {
    let mut offsets = BTreeMap::new();
    for topic in &request.topics {
        for partition in &topic.partitions {
            let at = PartitionName { topic: topic.name.as_str().to_owned(), partition: partition.partition_index };
            offsets.insert(at, partition.offset);
        }
    }
    let ask = |(at, offset): (&PartitionName, &i64)| DeleteRecordsAsk {
        at: at.clone(),
        before_offset: (*offset != HIGH_WATERMARK).then_some(*offset),
    };
    let asks: Vec<_> = offsets.iter().map(ask).collect();
    let timeout = duration_from_ms(request.timeout_ms, Duration::MAX);
    let deleted = call.service.engine.delete_records(asks, timeout).await;
    let mut topics: Vec<DeleteRecordsTopicResult> = Vec::new();
    for (at, outcome) in offsets.into_keys().zip(deleted) {
        let result = tell(at.partition, outcome);
        match topics.last_mut() {
            Some(topic) if *topic.name == *at.topic => topic.partitions.push(result),
            _ => topics.push(DeleteRecordsTopicResult { name: KString::from(at.topic), partitions: vec![result] }),
        }
    }
    call.answer(&DeleteRecordsResponse { topics, ..DeleteRecordsResponse::default() })
}

fn tell(partition_index: i32, outcome: EngineResult<i64>) -> DeleteRecordsPartitionResult {
    match outcome {
        Ok(low_watermark) => {
            DeleteRecordsPartitionResult { partition_index, low_watermark, error_code: ErrorCode::NONE }
        }
        Err(error) => {
            DeleteRecordsPartitionResult { partition_index, low_watermark: NONE, error_code: admin_code(&error) }
        }
    }
}
