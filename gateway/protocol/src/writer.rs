//! Writes the primitive types of the protocol into a rope.
//!
//! Promises: chunks of 1 KiB and more go into the rope as they are, smaller ones are copied next to the
//! fields around them, so that a response is few chunks and no large copy. Never fails on memory it was
//! not asked for; lengths that cannot be written are errors. Called by the messages and frames of this crate.

use bytes::{BufMut, Bytes, BytesMut};
use uuid::Uuid;

use crate::error::EncodeError;
use crate::rope::Rope;
use crate::wire::STRING_LEN_MAX;

/// Chunks from this size on are not copied: below it, a copy costs less than one more `writev` element.
const CHUNK_LEN_MIN: usize = 1024;
/// Enough for most responses without growing. Not less: from 1 KiB on, `BytesMut` allocates pieces of this size when
/// it runs out between two foreign chunks; below it, a piece per field.
const START_CAPACITY: usize = 1024;
/// Bytes of the length before each frame.
const PREFIX_LEN: usize = 4;

/// Collects the bytes of a message. [`Writer::finish`] hands them out.
#[derive(Debug, Default)]
pub struct Writer {
    /// The first bytes, once a foreign chunk followed them. Not frozen: the frame length goes there last.
    head: Option<BytesMut>,
    /// Everything between `head` and `tail`.
    middle: Vec<Bytes>,
    /// What is being written now.
    tail: BytesMut,
    /// Bytes in `head` and `middle`.
    closed_len: usize,
}

impl Writer {
    /// An empty writer with room for a small message.
    pub fn new() -> Self {
        Self::with_capacity(START_CAPACITY)
    }

    /// An empty writer with room for `capacity` bytes beside the chunks it will not copy.
    pub fn with_capacity(capacity: usize) -> Self {
        Self { tail: BytesMut::with_capacity(capacity), ..Self::default() }
    }

    /// Bytes written so far.
    pub fn len(&self) -> usize {
        self.closed_len.saturating_add(self.tail.len())
    }

    /// Whether nothing was written yet.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// A boolean: one byte, 0 or 1.
    pub fn put_bool(&mut self, value: bool) {
        self.tail.put_u8(u8::from(value));
    }

    /// An 8-bit integer.
    pub fn put_i8(&mut self, value: i8) {
        self.tail.put_i8(value);
    }

    /// A 16-bit integer, big endian.
    pub fn put_i16(&mut self, value: i16) {
        self.tail.put_i16(value);
    }

    /// A 32-bit integer, big endian.
    pub fn put_i32(&mut self, value: i32) {
        self.tail.put_i32(value);
    }

    /// A 64-bit integer, big endian.
    pub fn put_i64(&mut self, value: i64) {
        self.tail.put_i64(value);
    }

    /// A UUID: 16 bytes, most significant first.
    pub fn put_uuid(&mut self, value: Uuid) {
        self.tail.put_slice(value.as_bytes());
    }

    /// An unsigned variable-length integer.
    pub fn put_uvarint(&mut self, value: u32) {
        let mut rest = value;
        while rest > 0x7f {
            let [low, ..] = rest.to_le_bytes();
            self.tail.put_u8(low | 0x80);
            rest >>= 7;
        }
        let [low, ..] = rest.to_le_bytes();
        self.tail.put_u8(low);
    }

    /// The count of an array or the length of bytes, `None` for null: four bytes, or compact if `flexible`.
    /// Errors: [`EncodeError::TooLong`] above 2^31 − 1.
    pub fn put_len(&mut self, len: Option<usize>, flexible: bool) -> Result<(), EncodeError> {
        let Some(len) = len else {
            if flexible {
                self.put_uvarint(0)
            } else {
                self.put_i32(-1)
            }
            return Ok(());
        };
        let short = i32::try_from(len).map_err(|_| EncodeError::TooLong { len, max: 0x7fff_ffff })?;
        if flexible {
            self.put_uvarint(short.unsigned_abs().saturating_add(1));
        } else {
            self.put_i32(short);
        }
        Ok(())
    }

    /// A nullable string: two-byte length, or compact if `flexible`. Errors: [`EncodeError::TooLong`] above 32,767 bytes.
    pub fn put_nullable_string(&mut self, text: Option<&str>, flexible: bool) -> Result<(), EncodeError> {
        let len = text.map(str::len);
        let Ok(short) = len.map(i16::try_from).transpose() else {
            return Err(EncodeError::TooLong { len: len.unwrap_or_default(), max: STRING_LEN_MAX });
        };
        if flexible {
            self.put_len(len, true)?;
        } else {
            self.put_i16(short.unwrap_or(-1));
        }
        self.tail.put_slice(text.unwrap_or_default().as_bytes());
        Ok(())
    }

    /// Bytes without a length, copied.
    pub fn put_slice(&mut self, bytes: &[u8]) {
        self.tail.put_slice(bytes);
    }

    /// Bytes without a length; not copied from 1 KiB on.
    pub fn put_chunk(&mut self, chunk: &Bytes) {
        if chunk.len() < CHUNK_LEN_MIN {
            return self.tail.put_slice(chunk);
        }
        self.close_tail();
        self.closed_len = self.closed_len.saturating_add(chunk.len());
        self.middle.push(chunk.clone());
    }

    /// A rope without a length; its chunks are not copied from 1 KiB on.
    pub fn put_rope(&mut self, rope: &Rope) {
        rope.iter().for_each(|chunk| self.put_chunk(chunk));
    }

    /// Ends the piece being written, so that a foreign chunk can follow it.
    fn close_tail(&mut self) {
        if self.head.is_none() {
            self.closed_len = self.closed_len.saturating_add(self.tail.len());
            self.head = Some(self.tail.split());
        } else if !self.tail.is_empty() {
            self.closed_len = self.closed_len.saturating_add(self.tail.len());
            self.middle.push(self.tail.split().freeze());
        }
    }

    /// The bytes written.
    pub fn finish(self) -> Rope {
        let mut rope = Rope::with_capacity(self.middle.len().saturating_add(2));
        if let Some(head) = self.head {
            rope.push(head.freeze());
        }
        self.middle.into_iter().for_each(|chunk| rope.push(chunk));
        rope.push(self.tail.freeze());
        rope
    }

    /// A writer of one frame: room for its length is left at the start. Ends with [`Writer::finish_frame`].
    pub(crate) fn start_frame() -> Self {
        let mut writer = Self::new();
        writer.put_i32(0);
        writer
    }

    /// The frame with its length written at the start. Errors: [`EncodeError::TooLong`] above 2^31 − 1 bytes.
    pub(crate) fn finish_frame(mut self) -> Result<Rope, EncodeError> {
        let len = self.len().saturating_sub(PREFIX_LEN);
        let short = i32::try_from(len).map_err(|_| EncodeError::TooLong { len, max: 0x7fff_ffff })?;
        let first = self.head.as_mut().unwrap_or(&mut self.tail);
        if let Some(prefix) = first.get_mut(..PREFIX_LEN) {
            prefix.copy_from_slice(&short.to_be_bytes());
        }
        Ok(self.finish())
    }
}
