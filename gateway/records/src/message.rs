//! One message of a message set: Kafka's formats 0 and 1, before record batches.
//!
//! Promises: reads and writes exactly Kafka's layout (all big-endian). Never does: look into a wrapper; `message_set` and
//! `down_convert` do.
//!
//! | bytes | field |
//! |-|-|
//! | 8 | offset; relative to the first in wrappers of magic 1 |
//! | 4 | size: bytes after this field |
//! | 4 | CRC32 (of zip, not CRC32C) of what follows |
//! | 1 | magic: 0 or 1 |
//! | 1 | attributes: 0–2 compression, 3 timestamp type (magic 1) |
//! | 8 | timestamp, ms (magic 1) |
//! | 4 + n | key; −1: none |
//! | 4 + n | value; −1: none. In a wrapper: a compressed message set |

use bytes::{Buf, Bytes};

use crate::header::{LENGTH_END, LOG_APPEND_TIME_BIT, MAGIC_AT};
use crate::{BatchError, Compression, TimestampType};

/// Smallest size of a message: one of magic 0 without key and value.
pub(crate) const MIN_MESSAGE_SIZE: i32 = 14;

const COMPRESSION_MASK: i16 = 0x07;

/// Where in a message (behind its size) the CRC's coverage starts.
const CRC_LEN: usize = 4;

/// The formats before record batches, by their magic.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MessageFormat {
    /// Magic 0: no timestamps.
    V0,
    /// Magic 1: timestamps (KIP-32), relative offsets in wrappers (KIP-31).
    V1,
}

impl MessageFormat {
    /// The format of what `records` begin with; None for record batches, and for what is no format or too short to say.
    #[must_use]
    pub fn of(records: &[u8]) -> Option<Self> {
        Self::of_magic(*records.get(MAGIC_AT)?)
    }

    pub(crate) fn of_magic(magic: u8) -> Option<Self> {
        match magic {
            0 => Some(Self::V0),
            1 => Some(Self::V1),
            _ => None,
        }
    }

    fn magic(self) -> u8 {
        match self {
            Self::V0 => 0,
            Self::V1 => 1,
        }
    }

    /// Bytes of a message without key and value, offset and size included.
    pub(crate) fn overhead(self) -> usize {
        match self {
            Self::V0 => 26,
            Self::V1 => 34,
        }
    }
}

/// A message as it stands in a set. Nothing about it but its length is believed.
#[derive(Debug, Clone)]
pub(crate) struct RawMessage {
    /// Its offset.
    pub(crate) offset: i64,
    /// From the CRC on; at least [`MIN_MESSAGE_SIZE`] bytes.
    body: Bytes,
}

/// What a message says.
#[derive(Debug, Clone)]
pub(crate) struct Message {
    /// Milliseconds since 1970; −1 in magic 0.
    pub(crate) timestamp: i64,
    pub(crate) key: Option<Bytes>,
    pub(crate) value: Option<Bytes>,
}

impl RawMessage {
    /// Takes the next message off a set; None at its end.
    ///
    /// Errors: `Corrupt` for a size no message can have; `InvalidRecord` if the set ends inside the message (Kafka ignores
    /// such an end; here nothing sent is dropped silently).
    pub(crate) fn next(set: &mut Bytes) -> Result<Option<Self>, BatchError> {
        if set.is_empty() {
            return Ok(None);
        }
        let cut = || BatchError::invalid_record("the message set ends inside a message");
        let mut head: &[u8] = set.get(..LENGTH_END).ok_or_else(cut)?;
        let (offset, size) = (head.get_i64(), head.get_i32());
        if size < MIN_MESSAGE_SIZE {
            return Err(BatchError::corrupt(format!("a message size of {size} is below that of an empty message")));
        }
        let size = usize::try_from(size).map_err(|_| cut())?;
        let end = size.checked_add(LENGTH_END).filter(|end| *end <= set.len()).ok_or_else(cut)?;
        let mut body = set.split_to(end);
        body.advance(LENGTH_END);
        Ok(Some(Self { offset, body }))
    }

    /// Bytes in the set, offset and size included.
    pub(crate) fn wire_len(&self) -> usize {
        self.body.len().saturating_add(LENGTH_END)
    }

    fn byte(&self, at: usize) -> u8 {
        // The body has at least MIN_MESSAGE_SIZE bytes, and no caller asks for one behind the sixth.
        self.body.get(at).copied().unwrap_or_default()
    }

    /// The magic byte.
    pub(crate) fn magic(&self) -> u8 {
        self.byte(CRC_LEN)
    }

    fn attributes(&self) -> i16 {
        i16::from(self.byte(CRC_LEN + 1))
    }

    /// The codec of a wrapper; `None` for a plain message.
    pub(crate) fn compression(&self) -> Result<Compression, BatchError> {
        let code = self.attributes() & COMPRESSION_MASK;
        Compression::from_code(code)
            .ok_or_else(|| BatchError::UnsupportedCompression(format!("compression code {code} is not defined").into()))
    }

    /// Who set the timestamp; only magic 1 says.
    pub(crate) fn timestamp_type(&self) -> TimestampType {
        match self.attributes() & LOG_APPEND_TIME_BIT {
            0 => TimestampType::CreateTime,
            _ => TimestampType::LogAppendTime,
        }
    }

    /// Errors: `Corrupt` if the CRC does not hold.
    pub(crate) fn check_crc(&self) -> Result<(), BatchError> {
        let (stored, covered) = self.body.split_first_chunk().unwrap_or((&[0; CRC_LEN], &[]));
        let (stored, computed) = (u32::from_be_bytes(*stored), crc32fast::hash(covered));
        if stored != computed {
            return Err(BatchError::corrupt(format!(
                "the CRC of a message does not hold: stored {stored:#010x}, computed {computed:#010x}"
            )));
        }
        Ok(())
    }

    /// What it says; key and value are slices. Bytes behind the value are ignored, as Kafka does.
    ///
    /// Errors: `Corrupt` if a length goes past the end, or the magic is neither 0 nor 1.
    pub(crate) fn read(&self) -> Result<Message, BatchError> {
        let format = MessageFormat::of_magic(self.magic())
            .ok_or_else(|| BatchError::corrupt(format!("magic {} is not a message format", self.magic())))?;
        let cut = || BatchError::corrupt("a message ends inside its fields");
        let mut rest = self.body.slice(CRC_LEN + 2..);
        let timestamp = match format {
            MessageFormat::V0 => crate::check::NO_TIMESTAMP,
            MessageFormat::V1 => rest.try_get_i64().map_err(|_| cut())?,
        };
        let key = nullable(&mut rest).ok_or_else(cut)?;
        let value = nullable(&mut rest).ok_or_else(cut)?;
        Ok(Message { timestamp, key, value })
    }
}

/// A length and as many bytes; any negative length means there are none, as in Kafka.
fn nullable(rest: &mut Bytes) -> Option<Option<Bytes>> {
    let len = rest.try_get_i32().ok()?;
    let Ok(len) = usize::try_from(len) else {
        return Some(None);
    };
    (len <= rest.len()).then(|| Some(rest.split_to(len)))
}

/// The length of a key that is not there; wrappers have none.
const NO_KEY: [u8; 4] = (-1_i32).to_be_bytes();

/// What to write in front of a message's key and value.
#[derive(Debug, Clone, Copy)]
pub(crate) struct MessageHead {
    pub(crate) format: MessageFormat,
    pub(crate) offset: i64,
    pub(crate) compression: Compression,
    pub(crate) timestamp_type: TimestampType,
    /// Not written in magic 0.
    pub(crate) timestamp: i64,
}

impl MessageHead {
    /// Appends the message. Errors: `TooLarge` if a length does not fit the 31 bits Kafka has for it.
    pub(crate) fn write(&self, out: &mut Vec<u8>, key: Option<&[u8]>, value: Option<&[u8]>) -> Result<(), BatchError> {
        let start = out.len();
        self.open(out);
        write_nullable(out, key)?;
        write_nullable(out, value)?;
        close(out, start)
    }

    /// Appends what stands in front of the key; size and CRC are for [`close`].
    fn open(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.offset.to_be_bytes());
        out.extend_from_slice(&[0; 4 + CRC_LEN]);
        out.push(self.format.magic());
        // Codes have three bits.
        let [_, code] = self.compression.code().to_be_bytes();
        match self.format {
            MessageFormat::V0 => out.push(code),
            MessageFormat::V1 => {
                let [_, log_append_time] = LOG_APPEND_TIME_BIT.to_be_bytes();
                let is_stamped = self.timestamp_type == TimestampType::LogAppendTime;
                out.push(if is_stamped { code | log_append_time } else { code });
                out.extend_from_slice(&self.timestamp.to_be_bytes());
            }
        }
    }

    /// Appends a wrapper up to where its value begins; [`MessageHead::close_wrapper`] does the rest.
    pub(crate) fn open_wrapper(&self, out: &mut Vec<u8>) {
        self.open(out);
        out.extend_from_slice(&NO_KEY);
        out.extend_from_slice(&[0; 4]);
    }

    /// Writes the wrapper's head once more, now that its offset and timestamp are known, and fills in lengths and CRC.
    /// Errors as of [`MessageHead::write`].
    pub(crate) fn close_wrapper(&self, wrapper: &mut [u8]) -> Result<(), BatchError> {
        let overhead = self.format.overhead();
        let mut head = Vec::with_capacity(overhead);
        self.open(&mut head);
        head.extend_from_slice(&NO_KEY);
        head.extend_from_slice(&length(wrapper.len().saturating_sub(overhead))?);
        if let Some(room) = wrapper.get_mut(..overhead) {
            room.copy_from_slice(&head);
        }
        close(wrapper, 0)
    }
}

fn close(out: &mut [u8], start: usize) -> Result<(), BatchError> {
    let body_start = start.saturating_add(LENGTH_END);
    let size = length(out.len().saturating_sub(body_start))?;
    put(out, body_start.saturating_sub(4), size);
    let crc = crc32fast::hash(out.get(body_start.saturating_add(CRC_LEN)..).unwrap_or_default());
    put(out, body_start, crc.to_be_bytes());
    Ok(())
}

fn put(out: &mut [u8], at: usize, bytes: [u8; 4]) {
    if let Some(field) = out.get_mut(at..).and_then(<[u8]>::first_chunk_mut) {
        *field = bytes;
    }
}

fn length(len: usize) -> Result<[u8; 4], BatchError> {
    let len = i32::try_from(len).map_err(|_| BatchError::too_large("a message has no room for so many bytes"))?;
    Ok(len.to_be_bytes())
}

fn write_nullable(out: &mut Vec<u8>, bytes: Option<&[u8]>) -> Result<(), BatchError> {
    match bytes {
        None => out.extend_from_slice(&NO_KEY),
        Some(bytes) => {
            out.extend_from_slice(&length(bytes.len())?);
            out.extend_from_slice(bytes);
        }
    }
    Ok(())
}
