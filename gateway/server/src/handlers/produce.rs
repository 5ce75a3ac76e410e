//! Produce (key 0), versions 3–13; 0–2 are advertised, read, and answered with error 35 for every partition.
//!
//! Behaviour: records are acknowledged when they are durable and have their offsets, whatever acks says (I-01). Topics
//! asked for by name may be created (known issue 9). A partition named twice in a request is appended to twice, in order;
//! Kafka keeps the last. With acks=0 there is no answer, and an error closes the connection.
//! Version notes: 7 zstd (KIP-110); 8 error messages (KIP-467); 13 topic ids in place of names (KIP-516).
//! Errors, per partition: 21 acks, 3 and 100 unknown, 17 illegal name, 2, 10, 32, 76, 87 the batch, 45 and 47 its
//! producer, 35 transactions, 19 did not happen, 7 not known.

use futures_util::future::BoxFuture;
use sluice_engine::{EngineError, EngineResult, ProduceAsk, ProduceCapabilities, Produced};
use sluice_protocol::messages::produce::{PartitionProduceResponse, TopicProduceData, TopicProduceResponse};
use sluice_protocol::messages::{ProduceRequest, ProduceResponse};
use sluice_protocol::{DecodeError, ErrorCode, KString};

use super::{NONE, duration_from_ms, topic_ref};
use crate::dispatch::Call;
use crate::errors::produce_code;
use crate::refusal::Refusal;
use crate::request::{Outcome, Stage};

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
    Done(Produced),
    Refused(ErrorCode, String),
}

impl From<EngineResult<Produced>> for Verdict {
    fn from(result: EngineResult<Produced>) -> Self {
        match result {
            Ok(produced) => Self::Done(produced),
            Err(error) => Self::Refused(produce_code(&error), error.to_string()),
        }
    }
}

/// The first stage: what is good is admitted and queued when it ends.
async fn submit(call: Call, request: ProduceRequest) -> Stage {
    let ProduceRequest { acks, timeout_ms, topic_data: mut topics, .. } = request;
    let is_transactional = request.transactional_id.is_some();
    if let Some((code, reason)) = refuse_whole(&call, acks, is_transactional) {
        let refused = std::iter::repeat_with(|| Verdict::Refused(code, reason.to_owned()));
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
    let capabilities = ProduceCapabilities { zstd: call.version >= ZSTD_SINCE };
    let timeout = duration_from_ms(timeout_ms, call.service.limits.produce_wait_max);
    let pending = call.service.engine.submit_produce(asks, capabilities, timeout).await;
    Stage::Overlapping(Box::pin(async move {
        let verdicts = pending.wait().await.into_iter().map(Verdict::from);
        tell(&call, acks, &topics, verdicts)
    }))
}

/// What is wrong with every partition alike.
fn refuse_whole(call: &Call, acks: i16, is_transactional: bool) -> Option<(ErrorCode, &'static str)> {
    if !call.row.accepted.contain(call.version) {
        return Some((ErrorCode::UNSUPPORTED_VERSION, "message sets (Produce 0 to 2) are not supported"));
    }
    if !matches!(acks, -1..=1) {
        return Some((ErrorCode::INVALID_REQUIRED_ACKS, "acks must be -1, 0 or 1"));
    }
    if is_transactional {
        return Some((produce_code(&EngineError::TransactionsUnsupported), "transactions are not supported"));
    }
    None
}

fn tell(call: &Call, acks: i16, topics: &[TopicProduceData], verdicts: impl Iterator<Item = Verdict>) -> Outcome {
    // The engine answers every ask (its contract); were one missing, its effect would not be known.
    let missing = || Verdict::Refused(ErrorCode::REQUEST_TIMED_OUT, "the partition was not answered".to_owned());
    let mut verdicts = verdicts.chain(std::iter::repeat_with(missing));
    let mut first_error = None;
    let mut responses = Vec::with_capacity(topics.len());
    for topic in topics {
        let mut partition_responses = Vec::with_capacity(topic.partition_data.len());
        for (partition, verdict) in topic.partition_data.iter().zip(verdicts.by_ref()) {
            if let (Verdict::Refused(code, reason), None) = (&verdict, &first_error) {
                first_error = Some(format!("partition {}: {code}: {reason}", partition.index));
            }
            partition_responses.push(tell_partition(partition.index, verdict));
        }
        responses.push(TopicProduceResponse {
            name: topic.name.clone(),
            topic_id: topic.topic_id,
            partition_responses,
        });
    }
    match (acks, first_error) {
        (0, None) => Outcome::Silence,
        (0, Some(error)) => Outcome::Hangup(Refusal::AcksZeroFailed(error)),
        _ => call.answer(&ProduceResponse { responses, ..ProduceResponse::default() }),
    }
}

fn tell_partition(index: i32, verdict: Verdict) -> PartitionProduceResponse {
    let unknown = PartitionProduceResponse { index, base_offset: NONE, ..PartitionProduceResponse::default() };
    match verdict {
        Verdict::Done(Produced { base_offset, log_start_offset }) => {
            PartitionProduceResponse { base_offset, log_start_offset, ..unknown }
        }
        Verdict::Refused(error_code, reason) => {
            PartitionProduceResponse { error_code, error_message: Some(KString::from(reason)), ..unknown }
        }
    }
}
