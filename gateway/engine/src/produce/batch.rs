//! What a topic makes of the records that a producer sends it.
//!
//! Promises: a batch is kept as it came unless its topic, or the age of its producer, wants otherwise: a message set becomes
//! a batch, LogAppendTime is stamped, another codec is applied, all once, before anything is stored (I-10). Only then, and
//! where a topic wants something of every record, is anything decompressed, within a bound (I-09).
//! Called by `admit`.

use bytes::Bytes;
use sluice_metadata::{State, Topic};
use sluice_records::{
    Compression, MessageFormat, MessageSetRules, ProduceRules, RecordWants, TargetCompression, TimestampType,
    ValidBatch, check_records, convert_message_set, recompress, validate_produce,
};

use crate::api::ProduceCapabilities;
use crate::configs::{TopicCompression, TopicSettings};
use crate::engine::Inner;
use crate::error::{EngineError, EngineResult};

/// A batch as its topic keeps it.
pub(super) struct Admitted {
    pub(super) batch: ValidBatch,
    /// Bytes that its producer sent: the batch may have become larger.
    pub(super) sent_bytes: usize,
    /// Whether its records were looked at, which takes long.
    pub(super) was_opened: bool,
    /// The time that was stamped on it, where the topic has LogAppendTime.
    pub(super) log_append_time_ms: Option<i64>,
}

impl Admitted {
    /// Bytes beyond those that were sent.
    pub(super) fn growth(&self) -> usize {
        self.batch.byte_len().saturating_sub(self.sent_bytes)
    }
}

impl Inner {
    /// What `topic` makes of `records`.
    ///
    /// # Errors
    /// `InvalidRequest` without records; `Batch`; `TransactionsUnsupported`.
    pub(super) fn admit_records(
        &self,
        view: &State,
        topic: &Topic,
        records: Option<&Bytes>,
        capabilities: ProduceCapabilities,
    ) -> EngineResult<Admitted> {
        let records = records.filter(|records| !records.is_empty());
        let records = records.ok_or_else(|| EngineError::InvalidRequest("the partition has no records".into()))?;
        let settings = self.topic_settings(view, topic);
        // One reading for all: records are judged by the time that they are stamped with.
        let now_ms = self.parts.stamp_ms();
        let format = MessageFormat::of(records).filter(|_| capabilities.message_sets);
        let batch = match format {
            Some(_) => convert_message_set(records, &self.message_set_rules(&settings, now_ms))?,
            None => self.take_batch(records, &settings, capabilities, now_ms)?,
        };
        if batch.header.is_transactional() {
            return Err(EngineError::TransactionsUnsupported);
        }
        let log_append_time_ms = (settings.timestamp_type == TimestampType::LogAppendTime).then_some(now_ms);
        let batch = match log_append_time_ms {
            Some(now_ms) => batch.stamp_log_append_time(now_ms),
            None => batch,
        };
        let was_opened = format.is_some() || opens_batches(&settings);
        Ok(Admitted { batch, sent_bytes: records.len(), was_opened, log_append_time_ms })
    }

    fn take_batch(
        &self,
        records: &Bytes,
        settings: &TopicSettings,
        capabilities: ProduceCapabilities,
        now_ms: i64,
    ) -> EngineResult<ValidBatch> {
        let rules = ProduceRules {
            max_batch_bytes: settings.max_message_bytes,
            timestamp_type: settings.timestamp_type,
            allow_zstd: capabilities.zstd,
            exactly_one: true,
        };
        let max_decompressed = self.parts.limits.decompressed_bytes_max;
        let batch = validate_produce(records, &rules)?;
        check_records(&batch, &wants(settings, now_ms), max_decompressed)?;
        let target = target(settings.compression);
        Ok(recompress(batch, target, settings.max_message_bytes, max_decompressed)?)
    }

    fn message_set_rules(&self, settings: &TopicSettings, now_ms: i64) -> MessageSetRules {
        MessageSetRules {
            max_batch_bytes: settings.max_message_bytes,
            max_decompressed: self.parts.limits.decompressed_bytes_max,
            wants: wants(settings, now_ms),
            target: target(settings.compression),
        }
    }
}

/// Whether batches of such a topic are decompressed.
fn opens_batches(settings: &TopicSettings) -> bool {
    settings.compacted
        || settings.timestamp_before_max_ms != i64::MAX
        || settings.compression != TopicCompression::Producer
}

fn wants(settings: &TopicSettings, now_ms: i64) -> RecordWants {
    let wants = RecordWants { keys: settings.compacted, ..RecordWants::NOTHING };
    match settings.timestamp_type {
        TimestampType::CreateTime => {
            wants.timestamps_around(now_ms, settings.timestamp_before_max_ms, settings.timestamp_after_max_ms)
        }
        // Those that the producer sends will not be seen.
        TimestampType::LogAppendTime => wants,
    }
}

fn target(compression: TopicCompression) -> TargetCompression {
    match compression {
        TopicCompression::Producer => TargetCompression::Producer,
        TopicCompression::Codec { codec, level } => match codec {
            Compression::None => TargetCompression::Uncompressed,
            Compression::Gzip => TargetCompression::Gzip(Some(level)),
            Compression::Snappy => TargetCompression::Snappy,
            Compression::Lz4 => TargetCompression::Lz4,
            Compression::Zstd => TargetCompression::Zstd(Some(level)),
        },
    }
}
