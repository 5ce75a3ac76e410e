//! What a produced batch must satisfy before it may enter a segment.
//!
//! Promises: a [`ValidBatch`] is exactly one intact record batch of magic 2 that keeps every rule below; the bytes of its
//! records are never changed (I-10). Never does: decompress, or look at a single record. Called by:
//! `engine/produce` for each partition of a Produce request.
//!
//! The rules and their order are Kafka's (`ProduceRequest.validateRecords`, `UnifiedLog.analyzeAndValidateRecords`,
//! `LogValidator.validateBatch`), so that a batch wrong in two ways earns the same error. Chosen differences:
//! * Kafka trims bytes behind the last whole batch; here they are refused.
//! * Kafka reads every record and corrects offset deltas and the maximal timestamp; here the header is believed.

use bytes::Bytes;

use crate::check::NO_TIMESTAMP;
use crate::error::RecordErrors;
use crate::header::{CRC_START, LENGTH_END, MAGIC_AT, check_magic};
use crate::{BatchError, BatchHeader, Compression, TimestampType, ValidBatch, crc32c_combine};

/// Smallest length Kafka's reader accepts in front of any format (the overhead of a v0 message): below it the error
/// is the length itself, whatever the magic byte says.
const MIN_LENGTH_OF_ANY_FORMAT: i32 = 14;

/// Limits, and what the version of the request allows. Handlers fill it in; no version number gets here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ProduceRules {
    /// `message.max.bytes`: the greatest batch accepted, header included, in bytes as sent (compressed).
    pub max_batch_bytes: usize,
    /// `message.timestamp.type` of the topic.
    pub timestamp_type: TimestampType,
    /// Whether zstd may be used: Produce 7 and later (KIP-110).
    pub allow_zstd: bool,
    /// Whether the bytes must be one batch and nothing else: Produce 3 and later (KIP-98). When false, only the first
    /// batch is validated and the [`ValidBatch`] ends where it does; the caller goes on behind it.
    pub exactly_one: bool,
}

/// Checks the records of one partition of a Produce request. Reads each byte once, for the CRC.
///
/// Errors, in the order in which they are looked for:
/// * `NotOneBatch`: no whole batch in the bytes, or bytes behind the first one;
/// * `NotABatch`: impossible batch length, unknown magic; `UnsupportedMagic`: magic 0 or 1;
/// * `UnsupportedCompression`: zstd where not allowed, or an undefined codec;
/// * `InvalidRecord`: a base offset other than 0;
/// * `TooLarge`: more than `max_batch_bytes`;
/// * `Corrupt`: the CRC does not hold;
/// * `InvalidRecord`: record count not positive or not last offset delta + 1, control bit, a producer id without
///   epoch or sequence, the transactional bit without a producer id;
/// * `InvalidTimestamps`: the LogAppendTime bit, in a topic of that type or without a timestamp; in others it is cleared, as
///   in Kafka, which is the one thing that is ever changed here.
pub fn validate_produce(records: &Bytes, rules: &ProduceRules) -> Result<ValidBatch, BatchError> {
    let header = find_batch(records, rules.exactly_one)?;
    if header.compression()? == Compression::Zstd && !rules.allow_zstd {
        return Err(BatchError::UnsupportedCompression("zstd needs Produce version 7 or later".into()));
    }
    if header.base_offset != 0 {
        return Err(BatchError::invalid_record(format!(
            "the base offset of a produced batch must be 0, not {}",
            header.base_offset
        )));
    }
    let total = header.total_len();
    if total > rules.max_batch_bytes {
        return Err(BatchError::too_large(format!(
            "the batch has {total} bytes; at most {} are accepted",
            rules.max_batch_bytes
        )));
    }
    // find_batch saw that the batch is all there.
    let bytes = records.slice(..total);
    let crc_of_all = check_crc(&bytes, &header)?;
    check_count(&header)?;
    check_producer(&header)?;
    settle_timestamp_type(ValidBatch::of_whole(bytes, header, crc_of_all), rules)
}

/// A producer must not claim the broker's time.
fn settle_timestamp_type(batch: ValidBatch, rules: &ProduceRules) -> Result<ValidBatch, BatchError> {
    let header = &batch.header;
    if header.timestamp_type() == TimestampType::CreateTime {
        return Ok(batch);
    }
    if rules.timestamp_type == TimestampType::LogAppendTime || header.max_timestamp == NO_TIMESTAMP {
        let why = "a producer must not set the timestamp type LogAppendTime";
        return Err(BatchError::InvalidTimestamps(RecordErrors::of_all(header.record_count, why)));
    }
    Ok(batch.clear_log_append_time())
}

/// The header of the batch at the start, once it is known that the whole batch is there (known issue 1: the length
/// is compared, never trusted).
fn find_batch(records: &Bytes, exactly_one: bool) -> Result<BatchHeader, BatchError> {
    let no_batch = || BatchError::NotOneBatch("there must be one whole record batch per partition".into());
    let length: &[u8; 4] = records.get(LENGTH_END - 4..).and_then(|rest| rest.first_chunk()).ok_or_else(no_batch)?;
    let length = i32::from_be_bytes(*length);
    if length < MIN_LENGTH_OF_ANY_FORMAT {
        return Err(BatchError::NotABatch(
            format!("batch length {length} is below the minimum of any message format").into(),
        ));
    }
    let magic = records.get(MAGIC_AT).ok_or_else(no_batch)?;
    check_magic(i8::from_be_bytes([*magic])).map_err(not_a_batch)?;
    let total = usize::try_from(length).ok().and_then(|length| length.checked_add(LENGTH_END));
    let trailing = total.and_then(|total| records.len().checked_sub(total)).ok_or_else(no_batch)?;
    let header = BatchHeader::parse(records).map_err(not_a_batch)?;
    if exactly_one && trailing > 0 {
        return Err(BatchError::NotOneBatch(
            format!("there must be exactly one record batch per partition; {trailing} bytes follow the first").into(),
        ));
    }
    Ok(header)
}

fn not_a_batch(error: BatchError) -> BatchError {
    match error {
        BatchError::Corrupt(reason) => BatchError::NotABatch(reason),
        other => other,
    }
}

/// The CRC32C of the whole batch, if the one in the header holds.
fn check_crc(batch: &Bytes, header: &BatchHeader) -> Result<u32, BatchError> {
    let (uncovered, covered) = batch
        .split_at_checked(CRC_START)
        .ok_or_else(|| BatchError::corrupt("the batch ends before the bytes its CRC covers"))?;
    let computed = crc32c::crc32c(covered);
    if computed != header.crc {
        return Err(BatchError::corrupt(format!(
            "the CRC of the batch does not hold: stored {:#010x}, computed {computed:#010x}",
            header.crc
        )));
    }
    let covered_len = u64::try_from(covered.len()).unwrap_or(u64::MAX);
    Ok(crc32c_combine(crc32c::crc32c(uncovered), computed, covered_len))
}

fn check_count(header: &BatchHeader) -> Result<(), BatchError> {
    if header.dense_record_count().is_none() {
        return Err(BatchError::invalid_record(format!(
            "record count {} must be positive and equal to last offset delta {} plus one",
            header.record_count, header.last_offset_delta
        )));
    }
    if header.is_control() {
        return Err(BatchError::invalid_record("clients must not write control batches"));
    }
    Ok(())
}

fn check_producer(header: &BatchHeader) -> Result<(), BatchError> {
    if header.has_producer() {
        if header.base_sequence < 0 || header.producer_epoch < 0 {
            return Err(BatchError::invalid_record(format!(
                "producer id {} comes with epoch {} and sequence {}: neither may be negative",
                header.producer_id, header.producer_epoch, header.base_sequence
            )));
        }
    } else if header.is_transactional() {
        return Err(BatchError::invalid_record("a transactional batch needs a producer id"));
    }
    Ok(())
}
