//! OffsetForLeaderEpoch (key 23), versions 0–4.
//!
//! Behaviour: the leader epoch is 0 for a topic's life, so epoch 0 ends at the high watermark, and there is no other. The
//! replica id is not read.
//! Version notes: 1 tells the epoch; 2 checks the asker's own (KIP-320); 3 replica id; 4 flexible. Kafka 4 begins at 2.
//! Errors, per partition: 3 unknown, 75 a present epoch above 0, 56 what could not be decided now.

use futures_util::future::BoxFuture;
use sluice_engine::{EndOfEpoch, EngineError, EngineResult, EpochAsk, PartitionName};
use sluice_protocol::messages::offset_for_leader_epoch::{EpochEndOffset, OffsetForLeaderTopicResult};
use sluice_protocol::messages::{OffsetForLeaderEpochRequest, OffsetForLeaderEpochResponse};
use sluice_protocol::{DecodeError, ErrorCode};

use super::leader_epoch_from;
use crate::dispatch::{Call, run_alone};
use crate::errors::fetch_code;
use crate::request::{Outcome, Stage};

pub(crate) fn start(call: Call) -> Result<BoxFuture<'static, Stage>, DecodeError> {
    run_alone(call, handle)
}

async fn handle(call: Call, request: OffsetForLeaderEpochRequest) -> Outcome {
    let mut asks = Vec::new();
    for topic in &request.topics {
        asks.extend(topic.partitions.iter().map(|asked| EpochAsk {
            at: PartitionName { topic: topic.topic.as_str().to_owned(), partition: asked.partition },
            current_leader_epoch: leader_epoch_from(asked.current_leader_epoch),
            leader_epoch: asked.leader_epoch,
        }));
    }
    let mut found = call.service.engine.ends_of_epochs(asks).await.into_iter();
    let lost = || Err(EngineError::StorageUnavailable("the partition was not answered".to_owned()));
    let mut topics = Vec::with_capacity(request.topics.len());
    for topic in request.topics {
        let mut partitions = Vec::with_capacity(topic.partitions.len());
        for asked in &topic.partitions {
            partitions.push(tell(asked.partition, found.next().unwrap_or_else(lost)));
        }
        topics.push(OffsetForLeaderTopicResult { topic: topic.topic, partitions });
    }
    call.answer(&OffsetForLeaderEpochResponse { topics, ..OffsetForLeaderEpochResponse::default() })
}

fn tell(partition: i32, found: EngineResult<EndOfEpoch>) -> EpochEndOffset {
    match found {
        Ok(EndOfEpoch { leader_epoch, end_offset }) => {
            EpochEndOffset { error_code: ErrorCode::NONE, partition, leader_epoch, end_offset }
        }
        Err(error) => EpochEndOffset { error_code: fetch_code(&error), partition, ..EpochEndOffset::default() },
    }
}
