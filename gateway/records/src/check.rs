//! What some topics want of every record.
//!
//! Promises: a batch is decompressed only if its topic wants something that its header cannot tell. Kafka looks into every
//! batch; here the header is believed as far as it goes (its greatest timestamp). Called by: `engine/produce`,
//! `message_set`.

use crate::error::{RecordError, RecordErrors};
use crate::{BatchError, ValidBatch, limits};

/// Timestamp of a record without one.
pub(crate) const NO_TIMESTAMP: i64 = -1;

/// What a topic wants of each record. The timestamps do not concern records without one (−1).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RecordWants {
    /// A key (`cleanup.policy=compact`).
    pub keys: bool,
    /// No earlier timestamp than this, in milliseconds.
    pub earliest_ms: i64,
    /// No later timestamp than this, in milliseconds.
    pub latest_ms: i64,
}

impl RecordWants {
    /// Nothing.
    pub const NOTHING: Self = Self { keys: false, earliest_ms: i64::MIN, latest_ms: i64::MAX };

    /// No timestamp more than `before_max_ms` before or `after_max_ms` after `now_ms`
    /// (`message.timestamp.before.max.ms`, `message.timestamp.after.max.ms`).
    #[must_use]
    pub fn timestamps_around(self, now_ms: i64, before_max_ms: i64, after_max_ms: i64) -> Self {
        Self {
            // A limit of i64::MAX is none, whatever the time is.
            earliest_ms: if before_max_ms == i64::MAX { i64::MIN } else { now_ms.saturating_sub(before_max_ms) },
            latest_ms: now_ms.saturating_add(after_max_ms),
            ..self
        }
    }

    fn refusal(&self, timestamp: i64, has_key: bool) -> Option<Refusal> {
        if self.keys && !has_key {
            return Some(Refusal::NoKey);
        }
        let in_time = timestamp == NO_TIMESTAMP || (self.earliest_ms..=self.latest_ms).contains(&timestamp);
        (!in_time).then_some(Refusal::Timestamp)
    }
}

enum Refusal {
    NoKey,
    Timestamp,
}

/// Looks at records one after the other and gathers what is wrong with them.
#[derive(Debug)]
pub(crate) struct RecordCheck {
    wants: RecordWants,
    seen: i32,
    refused: usize,
    has_wrong_timestamp: bool,
    errors: Vec<RecordError>,
}

impl RecordCheck {
    pub(crate) fn new(wants: RecordWants) -> Self {
        Self { wants, seen: 0, refused: 0, has_wrong_timestamp: false, errors: Vec::new() }
    }

    pub(crate) fn look_at(&mut self, timestamp: i64, has_key: bool) {
        let batch_index = self.seen;
        self.seen = self.seen.saturating_add(1);
        let Some(refusal) = self.wants.refusal(timestamp, has_key) else { return };
        self.refused = self.refused.saturating_add(1);
        self.has_wrong_timestamp |= matches!(refusal, Refusal::Timestamp);
        if self.errors.len() >= limits::RECORD_ERRORS_MAX {
            return;
        }
        let message = match refusal {
            Refusal::NoKey => "a compacted topic takes no record without a key".to_owned(),
            Refusal::Timestamp => format!(
                "timestamp {timestamp} is out of range: it must be within [{}, {}]",
                self.wants.earliest_ms, self.wants.latest_ms
            ),
        };
        self.errors.push(RecordError { batch_index, message });
    }

    /// Errors: `InvalidTimestamps` if any timestamp was wrong, else `InvalidRecords`: one wrong record refuses the batch.
    pub(crate) fn finish(self) -> Result<(), BatchError> {
        if self.refused == 0 {
            return Ok(());
        }
        let errors = RecordErrors { errors: self.errors, refused: self.refused };
        Err(match self.has_wrong_timestamp {
            true => BatchError::InvalidTimestamps(errors),
            false => BatchError::InvalidRecords(errors),
        })
    }
}

/// Checks the records of `batch`, decompressing at most `max_decompressed` bytes, and nothing at all when the header
/// answers: no keys wanted, no earliest timestamp, and a greatest timestamp within the limit.
///
/// Errors: `InvalidTimestamps` and `InvalidRecords`, naming the records at fault (Kafka's `LogValidator.validateRecord`);
/// `InvalidTimestamp` if only the header is at fault; those of reading the records.
pub fn check_records(batch: &ValidBatch, wants: &RecordWants, max_decompressed: usize) -> Result<(), BatchError> {
    let max_timestamp = batch.header.max_timestamp;
    let in_time = max_timestamp <= wants.latest_ms;
    if in_time && !wants.keys && wants.earliest_ms == i64::MIN {
        return Ok(());
    }
    let mut check = RecordCheck::new(*wants);
    for record in batch.records(max_decompressed)? {
        let record = record?;
        check.look_at(batch.header.base_timestamp.saturating_add(record.timestamp_delta), record.key.is_some());
    }
    check.finish()?;
    if in_time {
        return Ok(());
    }
    // Kafka corrects the header; bytes under a CRC are not changed here (I-10), and a greatest timestamp that is nobody's
    // would be believed for ever.
    Err(BatchError::InvalidTimestamp(
        format!("the batch claims the timestamp {max_timestamp}, which is out of range and none of its records has")
            .into(),
    ))
}
