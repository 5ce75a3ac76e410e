//! Produce (key 0), versions 0–13; Kafka 4.3 advertises 0–2 as well, and does not serve them.
//!
//! Behaviour: records are acknowledged when they are durable and have their offsets, whatever acks says (I-01). Topics
//! asked for by name may be created (known issue 9). A partition named twice in a request is appended to twice, in order;
//! Kafka keeps the last. With acks=0 there is no answer, and an error closes the connection.
//! Version notes: 0–2 message sets, which become batches, or batches; 2 the time of LogAppendTime (KIP-32); 5 log start, 7
//! zstd (KIP-110); 8 record errors (KIP-467); 13 topic ids in place of names (KIP-516).
//! Errors, per partition: 21 acks, 3 and 100 unknown, 17 illegal name, 2, 10, 32, 76, 87 the batch, 45 and 47 its
//! producer, 35 transactions, 19 did not happen, 7 not known. A text comes, as in Kafka, with errors of single records and
//! with bytes that are no batch; the log start with what a log refused.

use std::collections::BTreeMap;
use std::time::Duration;

use futures_util::future::BoxFuture;
use sluice_engine::{BatchError, EngineError, ProduceAnswer, ProduceAsk, ProduceCapabilities, Produced};
use sluice_protocol::messages::produce::{
    BatchIndexAndErrorMessage, PartitionProduceResponse, TopicProduceData, TopicProduceResponse,
};
use sluice_protocol::messages::{ProduceRequest, ProduceResponse};
use sluice_protocol::{DecodeError, ErrorCode, KString};

use super::{NONE, duration_from_ms, place_of, topic_ref};
use crate::dispatch::Call;
use crate::errors::produce_code;
use crate::refusal::Refusal;
use crate::request::{Outcome, Stage};

/// Message sets are taken up to this version.
const MESSAGE_SETS_UNTIL: i16 = 2;
/// Zstandard is taken from this version on.
const ZSTD_SINCE: i16 = 7;
/// Topics have ids, not names, from this version on.
const TOPIC_IDS_SINCE: i16 = 13;

pub(crate) fn start(mut call: Call) -> Result<BoxFuture<'static, Stage>, DecodeError> {
    let request = call.decode::<ProduceRequest>()?;
    Ok(Box::pin(submit(call, request)))
}

/// What became of one partition.
enum Verdict {
    Done { produced: Produced, log_start_offset: i64 },
    Refused { code: ErrorCode, error: EngineError, log_start_offset: i64 },
}

impl Verdict {
    fn refused(code: ErrorCode, error: EngineError) -> Self {
        Self::Refused { code, error, log_start_offset: NONE }
    }
}

impl From<ProduceAnswer> for Verdict {
    fn from(answer: ProduceAnswer) -> Self {
        let log_start_offset = answer.log_start_offset;
        match answer.outcome {
            Ok(produced) => Self::Done { produced, log_start_offset },
            Err(error) => Self::Refused { code: produce_code(&error), error, log_start_offset },
        }
    }
}

/// The first stage: what is good is admitted and queued when it ends.
async fn submit(call: Call, request: ProduceRequest) -> Stage {
    let ProduceRequest { acks, timeout_ms, topic_data: mut topics, .. } = request;
    if request.transactional_id.is_some() {
        let error = EngineError::TransactionsUnsupported;
        let refused = std::iter::repeat_with(|| Verdict::refused(produce_code(&error), error.clone()));
        return Stage::Settled(tell(&call, acks, &topics, refused));
    }
    let by_id = call.version >= TOPIC_IDS_SINCE;
    let mut asks = Vec::with_capacity(topics.iter().map(|topic| topic.partition_data.len()).sum());
    for topic in &mut topics {
        for partition in &mut topic.partition_data {
            asks.push(ProduceAsk {
                topic: topic_ref(by_id, &topic.name, topic.topic_id),
                partition: partition.index,
                records: partition.records.take(),
            });
        }
    }
    let limits = &call.service.limits;
    let timeout = duration_from_ms(timeout_ms, limits.produce_wait_max).max(limits.produce_wait_min);
    if !matches!(acks, -1..=1) {
        return Stage::Settled(refuse_acks(&call, acks, &topics, &asks, timeout).await);
    }
    let capabilities =
        ProduceCapabilities { zstd: call.version >= ZSTD_SINCE, message_sets: call.version <= MESSAGE_SETS_UNTIL };
    let pending = call.service.engine.submit_produce(asks, capabilities, timeout).await;
    Stage::Overlapping(Box::pin(async move {
        let verdicts = pending.wait().await.into_iter().map(Verdict::from);
        tell(&call, acks, &topics, verdicts)
    }))
}

/// Kafka looks first whether partitions are there, and then at acks.
async fn refuse_acks(
    call: &Call,
    acks: i16,
    topics: &[TopicProduceData],
    asks: &[ProduceAsk],
    timeout: Duration,
) -> Outcome {
    let invalid = || EngineError::InvalidRequest("acks must be -1, 0 or 1".to_owned());
    let checked = call.service.engine.check_partitions(asks, timeout).await.into_iter();
    let verdicts = checked.map(|checked| match checked {
        Ok(()) => Verdict::refused(ErrorCode::INVALID_REQUIRED_ACKS, invalid()),
        Err(error) => Verdict::refused(produce_code(&error), error),
    });
    tell(call, acks, topics, verdicts)
}

fn tell(call: &Call, acks: i16, topics: &[TopicProduceData], verdicts: impl Iterator<Item = Verdict>) -> Outcome {
    // The engine answers every ask (its contract); were one missing, its effect would not be known.
    let missing = || {
        let error = EngineError::OutcomeUnknown("the partition was not answered".to_owned());
        Verdict::refused(produce_code(&error), error)
    };
    let mut verdicts = verdicts.chain(std::iter::repeat_with(missing));
    let mut first_error = None;
    let mut places = BTreeMap::new();
    let mut responses: Vec<TopicProduceResponse> = Vec::with_capacity(topics.len());
    for topic in topics.iter().filter(|topic| !topic.partition_data.is_empty()) {
        let place = place_of(&mut places, (&topic.name, topic.topic_id), responses.len());
        if place == responses.len() {
            let (name, topic_id) = (topic.name.clone(), topic.topic_id);
            responses.push(TopicProduceResponse { name, topic_id, partition_responses: Vec::new() });
        }
        let Some(response) = responses.get_mut(place) else { continue };
        for (partition, verdict) in topic.partition_data.iter().zip(verdicts.by_ref()) {
            if let Verdict::Refused { code, error, .. } = &verdict {
                tracing::debug!(partition = partition.index, %code, %error, "a produce was refused");
                first_error.get_or_insert_with(|| format!("partition {}: {code}: {error}", partition.index));
            }
            response.partition_responses.push(tell_partition(partition.index, verdict));
        }
    }
    match (acks, first_error) {
        (0, None) => Outcome::Silence,
        (0, Some(error)) => Outcome::Hangup(Refusal::AcksZeroFailed(error)),
        _ => call.answer(&ProduceResponse { responses, ..ProduceResponse::default() }),
    }
}

fn tell_partition(index: i32, verdict: Verdict) -> PartitionProduceResponse {
    let nothing = PartitionProduceResponse { index, base_offset: NONE, ..PartitionProduceResponse::default() };
    match verdict {
        Verdict::Done { produced: Produced { base_offset, log_append_time_ms }, log_start_offset } => {
            PartitionProduceResponse { base_offset, log_append_time_ms, log_start_offset, ..nothing }
        }
        Verdict::Refused { code: error_code, error, log_start_offset } => {
            let record_errors = tell_record_errors(&error);
            let is_told = !record_errors.is_empty() || is_not_a_batch(&error);
            let error_message = is_told.then(|| KString::from(error.to_string()));
            PartitionProduceResponse { error_code, error_message, record_errors, log_start_offset, ..nothing }
        }
    }
}

fn is_not_a_batch(error: &EngineError) -> bool {
    matches!(error, EngineError::Batch(batch) if matches!(**batch, BatchError::NotABatch(_)))
}

fn tell_record_errors(error: &EngineError) -> Vec<BatchIndexAndErrorMessage> {
    let EngineError::Batch(batch) = error else { return Vec::new() };
    let tell_one = |error: &sluice_engine::RecordError| BatchIndexAndErrorMessage {
        batch_index: error.batch_index,
        batch_index_error_message: Some(KString::from(error.message.as_str())),
    };
    batch.record_errors().iter().map(tell_one).collect()
}
