//! Message sets of magic 0 and 1 into a batch of magic 2, once, at admission (Produce 0–2).
//!
//! Promises: what comes out is one [`ValidBatch`] with the records of the set in their order, its codec kept unless the
//! topic wants another; or the error that Kafka 2.8 gives, the last that took all three formats (`Log.append`,
//! `LogValidator`, `AbstractLegacyRecordBatch`). Memory: what the set decompresses to (bounded by the caller) and the batch.
//! Never does: keep the offsets that producers write; apply assigns them (I-02). Called by: `engine/produce`.
//!
//! A set is either plain messages or one wrapper, a message whose value is a compressed set. One batch is always enough:
//! Kafka refuses a wrapper that is not alone.
//!
//! Chosen differences from Kafka 2.8: an empty set is refused, and so is one that ends inside a message (both are dropped
//! there without a word); what makes it answer UNKNOWN_SERVER_ERROR gets the error that says what is wrong.

use bytes::Bytes;

use crate::check::{NO_TIMESTAMP, RecordCheck};
use crate::compression::{Encoder, decompress_any_header};
use crate::header::NO_PRODUCER;
use crate::message::{MessageFormat, RawMessage};
use crate::recompress::check_size;
use crate::{
    BATCH_OVERHEAD, BatchError, BatchHeader, Compression, RecordWants, TargetCompression, TimestampType, ValidBatch,
    build, valid_batch,
};

/// What the topic, and its gateway, want of a message set.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MessageSetRules {
    /// `max.message.bytes`: the greatest message accepted, offset and size included, as sent; and the greatest batch it may
    /// become.
    pub max_batch_bytes: usize,
    /// Bytes that a wrapper may decompress to.
    pub max_decompressed: usize,
    /// What is wanted of each record.
    pub wants: RecordWants,
    /// What the batch is to be compressed with.
    pub target: TargetCompression,
}

/// Converts the records of one partition of a Produce 0 to 2, which must begin with a message ([`MessageFormat::of`]).
///
/// Errors, in the order in which they are looked for: per message, `Corrupt` (size, magic), `TooLarge`, `Corrupt` (CRC),
/// `UnsupportedCompression`; `InvalidRecord`: no message at all, a set that ends inside one, messages of several formats, a
/// wrapper that is not alone, or has no value, no messages, compressed messages, messages of another format or an offset
/// below that of its last message; `Corrupt` for a message inside a wrapper; `InvalidTimestamp`: the LogAppendTime bit, or a
/// negative timestamp other than −1; those of [`crate::check_records`]; `TooLarge`: the batch.
pub fn convert_message_set(set: &Bytes, rules: &MessageSetRules) -> Result<ValidBatch, BatchError> {
    let (first, count) = look_over(set, rules)?;
    let sent = first.compression()?;
    let writer = BatchWriter::new(rules, sent);
    let converted = if sent == Compression::None {
        convert_plain(set, first.magic(), writer)
    } else if count > 1 {
        Err(wrapper_not_alone())
    } else {
        convert_wrapper(&first, sent, rules, writer)
    };
    check_size(converted?, rules.max_batch_bytes)
}

/// Checks every message of the set as far as it needs no decompression. Gives the first, and how many there are.
fn look_over(set: &Bytes, rules: &MessageSetRules) -> Result<(RawMessage, usize), BatchError> {
    let mut rest = set.clone();
    let mut first = None;
    let mut count = 0_usize;
    while let Some(message) = RawMessage::next(&mut rest)? {
        check_shallow(&message, rules)?;
        count = count.saturating_add(1);
        first.get_or_insert(message);
    }
    let first = first.ok_or_else(|| BatchError::invalid_record("the message set is empty"))?;
    Ok((first, count))
}

fn check_shallow(message: &RawMessage, rules: &MessageSetRules) -> Result<(), BatchError> {
    match message.magic() {
        0 | 1 => {}
        2 => return Err(BatchError::invalid_record("a record batch of magic 2 follows messages of an older format")),
        unknown => return Err(BatchError::corrupt(format!("magic {unknown} is not a message format"))),
    }
    let total = message.wire_len();
    if total > rules.max_batch_bytes {
        return Err(BatchError::too_large(format!(
            "a message has {total} bytes; at most {} are accepted",
            rules.max_batch_bytes
        )));
    }
    message.check_crc()?;
    message.compression().map(|_| ())
}

fn wrapper_not_alone() -> BatchError {
    BatchError::invalid_record("a compressed message set must be the only message of its set")
}

/// A producer must not claim the broker's time. Kafka 2.8 looks at messages and wrappers, not inside these.
fn check_timestamp_type(message: &RawMessage) -> Result<(), BatchError> {
    if message.magic() == 1 && message.timestamp_type() == TimestampType::LogAppendTime {
        return Err(BatchError::InvalidTimestamp("a producer must not set the timestamp type LogAppendTime".into()));
    }
    Ok(())
}

fn convert_plain(set: &Bytes, magic: u8, mut writer: BatchWriter) -> Result<ValidBatch, BatchError> {
    let mut rest = set.clone();
    while let Some(message) = RawMessage::next(&mut rest)? {
        if message.magic() != magic {
            return Err(BatchError::invalid_record(format!(
                "a message of magic {} follows one of magic {magic}",
                message.magic()
            )));
        }
        if message.compression()? != Compression::None {
            return Err(wrapper_not_alone());
        }
        check_timestamp_type(&message)?;
        writer.push(&message)?;
    }
    writer.finish()
}

fn convert_wrapper(
    wrapper: &RawMessage,
    codec: Compression,
    rules: &MessageSetRules,
    mut writer: BatchWriter,
) -> Result<ValidBatch, BatchError> {
    if codec == Compression::Zstd {
        // KIP-110 has it for record batches alone.
        return Err(BatchError::invalid_record("zstd does not exist in message sets"));
    }
    let value = wrapper.read()?.value;
    let value = value.ok_or_else(|| BatchError::invalid_record("a compressed message set has no value"))?;
    let inner = match (codec, MessageFormat::of_magic(wrapper.magic())) {
        (Compression::Lz4, Some(MessageFormat::V0)) => {
            Bytes::from(decompress_any_header(&value, rules.max_decompressed)?)
        }
        _ => codec.decompress(&value, rules.max_decompressed)?,
    };
    check_offsets(wrapper, &inner)?;
    check_timestamp_type(wrapper)?;
    let mut rest = inner;
    while let Some(message) = RawMessage::next(&mut rest)? {
        if message.compression()? != Compression::None {
            return Err(BatchError::invalid_record("messages of a compressed message set must not be compressed"));
        }
        if message.magic() != wrapper.magic() {
            return Err(BatchError::invalid_record(format!(
                "a message of magic {} stands in a compressed message set of magic {}",
                message.magic(),
                wrapper.magic()
            )));
        }
        message.check_crc()?;
        writer.push(&message)?;
    }
    writer.finish()
}

/// A wrapper has the offset of its last message; in magic 1 those inside are relative. Some versions of librdkafka leave
/// it 0.
fn check_offsets(wrapper: &RawMessage, inner: &Bytes) -> Result<(), BatchError> {
    let mut rest = inner.clone();
    let mut last = None;
    while let Some(message) = RawMessage::next(&mut rest)? {
        last = Some(message.offset);
    }
    let last = last.ok_or_else(|| BatchError::invalid_record("a compressed message set is empty"))?;
    if wrapper.magic() == 1 && wrapper.offset != 0 && wrapper.offset < last {
        return Err(BatchError::invalid_record(format!(
            "a compressed message set has the offset {}, its last message {last}",
            wrapper.offset
        )));
    }
    Ok(())
}

/// Writes the batch as the messages are read.
struct BatchWriter {
    encoder: Encoder,
    header: BatchHeader,
    check: RecordCheck,
    body: Vec<u8>,
    framed: Vec<u8>,
}

impl BatchWriter {
    fn new(rules: &MessageSetRules, sent: Compression) -> Self {
        let attributes = rules.target.codec(sent).code();
        Self {
            encoder: rules.target.encoder(sent, vec![0; BATCH_OVERHEAD]),
            header: BatchHeader { attributes, ..NO_PRODUCER },
            check: RecordCheck::new(rules.wants),
            body: Vec::new(),
            framed: Vec::new(),
        }
    }

    fn push(&mut self, message: &RawMessage) -> Result<(), BatchError> {
        let message = message.read()?;
        let timestamp = message.timestamp;
        if timestamp < NO_TIMESTAMP {
            return Err(BatchError::InvalidTimestamp(format!("{timestamp} is not a timestamp").into()));
        }
        self.check.look_at(timestamp, message.key.is_some());
        let header = &mut self.header;
        if header.record_count == 0 {
            header.base_timestamp = timestamp;
        }
        self.body.clear();
        self.framed.clear();
        let delta = timestamp.wrapping_sub(header.base_timestamp);
        let (key, value) = (message.key.as_deref(), message.value.as_deref());
        build::write_record_body(&mut self.body, delta, header.record_count, key, value, &[]);
        build::write_framed(&mut self.framed, &self.body);
        self.encoder.write(&self.framed)?;
        header.last_offset_delta = header.record_count;
        header.record_count =
            header.record_count.checked_add(1).ok_or_else(|| BatchError::too_large("too many messages"))?;
        header.max_timestamp = header.max_timestamp.max(timestamp);
        Ok(())
    }

    fn finish(self) -> Result<ValidBatch, BatchError> {
        self.check.finish()?;
        valid_batch::seal(self.header, self.encoder.finish()?)
    }
}

#[cfg(test)]
pub(crate) mod tests;
