//! OffsetCommit (key 8), versions 0–10.
//!
//! Behaviour: as Kafka's, with fencing decided where the commit takes effect: one that was delayed never moves an offset
//! back (T7). Commits of a group take effect in the order in which this gateway read them. Dropped when its client is gone
//! (T7). It says "metadata too large" and "unknown topic" per partition and commits the rest.
//! Version notes: 0 has neither member nor generation; 1 a time per partition, which is kept where all agree; 2–4 a
//! retention for all; 6 leader epochs; 7 static members (KIP-345); 9 tells an unknown group as such; 10 topic ids in place
//! of names (KIP-848).
//! Errors, per partition: 3 and 100 unknown, 12 metadata over `offset.metadata.max.bytes`; and for all of them 22, 25, 27,
//! 69, 82 by Kafka's rules, 28 a commit over the bounds, 15 what could not be decided now, 7 what may have happened.

use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use sluice_engine::{CommitAsk, CommitOffsetAsk, EngineResult, MemberClaim};
use sluice_protocol::messages::offset_commit::{
    OffsetCommitRequestPartition, OffsetCommitRequestTopic, OffsetCommitResponsePartition, OffsetCommitResponseTopic,
};
use sluice_protocol::messages::{OffsetCommitRequest, OffsetCommitResponse};
use sluice_protocol::{DecodeError, ErrorCode};

use super::{optional_string, topic_ref};
use crate::dispatch::Call;
use crate::errors::offset_commit_code;
use crate::request::Stage;

/// An unknown group is told as such from this version on.
const UNKNOWN_GROUP_SINCE: i16 = 9;
/// Topics have ids, not names, from this version on.
const TOPIC_IDS_SINCE: i16 = 10;

pub(crate) fn start(mut call: Call) -> Result<BoxFuture<'static, Stage>, DecodeError> {
    let request = call.decode::<OffsetCommitRequest>()?;
    let (origin, ask) = (call.origin(), translate(&call, &request));
    // Its place among the commits of the group is taken now: whatever this one waits for, later ones wait for it (T7).
    // So is what State was known, unless the client may have seen more elsewhere (T7).
    let engine = &call.service.engine;
    let commit = if call.caller.has_barrier() {
        engine.commit_offsets(&origin, ask).boxed()
    } else {
        engine.commit_first_offsets(&origin, ask).boxed()
    };
    let answer = async move {
        let answers = match call.freshen().await {
            Ok(()) => commit.await,
            Err(error) => partitions(&request).map(|_| Err(error.clone())).collect(),
        };
        call.answer(&tell(request, answers))
    };
    Ok(Box::pin(answer.map(Stage::Settled)))
}

fn partitions(request: &OffsetCommitRequest) -> impl Iterator<Item = &OffsetCommitRequestPartition> {
    request.topics.iter().flat_map(|topic| &topic.partitions)
}

fn translate(call: &Call, request: &OffsetCommitRequest) -> CommitAsk {
    let by_id = call.version >= TOPIC_IDS_SINCE;
    let asks_of = |topic: &OffsetCommitRequestTopic| -> Vec<CommitOffsetAsk> {
        let ask = |partition: &OffsetCommitRequestPartition| CommitOffsetAsk {
            topic: topic_ref(by_id, &topic.name, topic.topic_id),
            partition: partition.partition_index,
            offset: partition.committed_offset,
            leader_epoch: partition.committed_leader_epoch,
            metadata: partition.committed_metadata.as_ref().map_or_else(String::new, |text| text.as_str().to_owned()),
            committed_at_ms: (partition.commit_timestamp >= 0).then_some(partition.commit_timestamp),
        };
        topic.partitions.iter().map(ask).collect()
    };
    CommitAsk {
        group_id: request.group_id.as_str().to_owned(),
        claim: MemberClaim {
            member_id: request.member_id.as_str().to_owned(),
            instance_id: optional_string(request.group_instance_id.clone()),
            generation: request.generation_id_or_member_epoch,
        },
        tells_unknown_group: call.version >= UNKNOWN_GROUP_SINCE,
        retention: u64::try_from(request.retention_time_ms).ok().map(Duration::from_millis),
        offsets: request.topics.iter().flat_map(asks_of).collect(),
    }
}

fn tell(request: OffsetCommitRequest, answers: Vec<EngineResult<()>>) -> OffsetCommitResponse {
    let mut codes = answers.into_iter().map(|answer| match answer {
        Ok(()) => ErrorCode::NONE,
        Err(error) => offset_commit_code(&error),
    });
    let mut partition = |asked: OffsetCommitRequestPartition| OffsetCommitResponsePartition {
        partition_index: asked.partition_index,
        // The engine answers every ask (its contract); were one missing, its effect would not be known.
        error_code: codes.next().unwrap_or(ErrorCode::REQUEST_TIMED_OUT),
    };
    // A topic without partitions is left out, as in Kafka.
    let topics = request.topics.into_iter().filter(|topic| !topic.partitions.is_empty()).map(|topic| {
        OffsetCommitResponseTopic {
            name: topic.name,
            topic_id: topic.topic_id,
            partitions: topic.partitions.into_iter().map(&mut partition).collect(),
        }
    });
    OffsetCommitResponse { topics: topics.collect(), ..OffsetCommitResponse::default() }
}
