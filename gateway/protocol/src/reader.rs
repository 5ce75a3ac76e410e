//! Reads the primitive types of the protocol from a frame.
//!
//! Promises (I-09): no input panics; every read is checked against the bytes left; an array is
//! allocated only after its count was found to fit in the bytes left and its memory in the budget
//! of 16 × frame + 64 KiB. Never copies: strings and bytes are slices of the frame.
//! Called by the messages of this crate, and by the server for headers.

use bytes::Bytes;
use uuid::Uuid;

use crate::error::DecodeError;
use crate::kstring::KString;
use crate::wire::STRING_LEN_MAX;

/// Decode memory allowed per byte of frame.
const BUDGET_PER_BYTE: usize = 16;
/// Decode memory allowed for any frame, in bytes.
const BUDGET_BASE: usize = 64 * 1024;
/// What `Bytes` itself allocates, once, when a frame is first sliced.
const SHARING_COST: usize = 64;

/// A cursor over one frame (without its length prefix), bounded in bytes and in memory.
#[derive(Debug)]
pub struct Reader {
    frame: Bytes,
    position: usize,
    /// End of what may be read: of the frame, or of the tagged field being decoded.
    end: usize,
    budget: usize,
}

impl Reader {
    /// A reader at the start of `frame`, with a decode budget of 16 × its length + 64 KiB.
    pub fn new(frame: Bytes) -> Self {
        let end = frame.len();
        let budget = end.saturating_mul(BUDGET_PER_BYTE).saturating_add(BUDGET_BASE - SHARING_COST);
        Self { frame, position: 0, end, budget }
    }

    /// Bytes left to read.
    pub const fn remaining(&self) -> usize {
        self.end.saturating_sub(self.position)
    }

    /// Whether everything was read.
    pub const fn is_empty(&self) -> bool {
        self.remaining() == 0
    }

    /// Offset of the next byte from the start of the frame.
    pub const fn position(&self) -> usize {
        self.position
    }

    /// Checks that nothing is left. Errors: [`DecodeError::TrailingBytes`].
    pub const fn finish(&self) -> Result<(), DecodeError> {
        match self.remaining() {
            0 => Ok(()),
            left => Err(DecodeError::TrailingBytes(left)),
        }
    }

    /// Moves past `len` bytes and returns where they start. Errors if they are not there.
    fn advance(&mut self, len: usize) -> Result<usize, DecodeError> {
        let remaining = self.remaining();
        if len > remaining {
            return Err(DecodeError::UnexpectedEnd { needed: len, remaining });
        }
        let start = self.position;
        self.position = start.saturating_add(len);
        Ok(start)
    }

    fn read_array<const N: usize>(&mut self) -> Result<[u8; N], DecodeError> {
        let start = self.advance(N)?;
        self.frame
            .get(start..self.position)
            .and_then(|bytes| bytes.try_into().ok())
            .ok_or(DecodeError::UnexpectedEnd { needed: N, remaining: 0 })
    }

    /// Skips `len` bytes.
    pub fn skip(&mut self, len: usize) -> Result<(), DecodeError> {
        self.advance(len).map(|_| ())
    }

    /// Takes `len` bytes as a slice of the frame.
    pub fn take(&mut self, len: usize) -> Result<Bytes, DecodeError> {
        let start = self.advance(len)?;
        // Within the frame: `advance` has checked it.
        Ok(self.frame.slice(start..self.position))
    }

    /// A boolean: any byte but 0 is true, as in Kafka.
    pub fn read_bool(&mut self) -> Result<bool, DecodeError> {
        Ok(self.read_i8()? != 0)
    }

    /// An 8-bit integer.
    pub fn read_i8(&mut self) -> Result<i8, DecodeError> {
        Ok(i8::from_be_bytes(self.read_array()?))
    }

    /// A 16-bit integer, big endian.
    pub fn read_i16(&mut self) -> Result<i16, DecodeError> {
        Ok(i16::from_be_bytes(self.read_array()?))
    }

    /// A 32-bit integer, big endian.
    pub fn read_i32(&mut self) -> Result<i32, DecodeError> {
        Ok(i32::from_be_bytes(self.read_array()?))
    }

    /// A 64-bit integer, big endian.
    pub fn read_i64(&mut self) -> Result<i64, DecodeError> {
        Ok(i64::from_be_bytes(self.read_array()?))
    }

    /// A UUID: 16 bytes, most significant first.
    pub fn read_uuid(&mut self) -> Result<Uuid, DecodeError> {
        Ok(Uuid::from_bytes(self.read_array()?))
    }

    /// An unsigned variable-length integer of at most 32 bits (five bytes).
    pub fn read_uvarint(&mut self) -> Result<u32, DecodeError> {
        let mut value = 0_u32;
        for shift in [0_u32, 7, 14, 21, 28] {
            let [byte] = self.read_array()?;
            let bits = u32::from(byte & 0x7f);
            if shift == 28 && bits > 0x0f {
                return Err(DecodeError::VarintTooLong);
            }
            value |= bits << shift;
            if byte & 0x80 == 0 {
                return Ok(value);
            }
        }
        Err(DecodeError::VarintTooLong)
    }

    /// A length written as length + 1, where 0 is null (KIP-482).
    fn read_compact_len(&mut self) -> Result<Option<usize>, DecodeError> {
        let Some(len) = self.read_uvarint()?.checked_sub(1) else {
            return Ok(None);
        };
        usize::try_from(len).map(Some).map_err(|_| DecodeError::VarintTooLong)
    }

    fn nullable_len(len: i32) -> Result<Option<usize>, DecodeError> {
        if len == -1 {
            return Ok(None);
        }
        usize::try_from(len).map(Some).map_err(|_| DecodeError::NegativeLength(len))
    }

    /// The count of an array or the length of bytes; `None` is null. Not yet checked against anything.
    pub fn read_len(&mut self, flexible: bool) -> Result<Option<usize>, DecodeError> {
        if flexible { self.read_compact_len() } else { Self::nullable_len(self.read_i32()?) }
    }

    /// A nullable string: two-byte length, or compact if `flexible`.
    pub fn read_nullable_string(&mut self, flexible: bool) -> Result<Option<KString>, DecodeError> {
        let len = if flexible { self.read_compact_len()? } else { Self::nullable_len(self.read_i16()?.into())? };
        let Some(len) = len else { return Ok(None) };
        if len > STRING_LEN_MAX {
            return Err(DecodeError::StringTooLong(len));
        }
        KString::from_utf8(self.take(len)?).map(Some).ok_or(DecodeError::InvalidUtf8)
    }

    /// Nullable bytes or records: four-byte length, or compact if `flexible`.
    pub fn read_nullable_bytes(&mut self, flexible: bool) -> Result<Option<Bytes>, DecodeError> {
        match self.read_len(flexible)? {
            Some(len) => self.take(len).map(Some),
            None => Ok(None),
        }
    }

    /// Takes `bytes` of memory from the budget. Errors: [`DecodeError::Budget`].
    pub(crate) fn charge(&mut self, bytes: usize) -> Result<(), DecodeError> {
        self.budget = self.budget.checked_sub(bytes).ok_or(DecodeError::Budget)?;
        Ok(())
    }

    /// A vector with room for `count` elements of at least `element_len_min` bytes each on the wire.
    /// The one place where decoding reserves memory by a number the peer chose (I-09).
    pub(crate) fn reserve<T>(&mut self, count: usize, element_len_min: usize) -> Result<Vec<T>, DecodeError> {
        let max = self.remaining() / element_len_min.max(1);
        if count > max {
            return Err(DecodeError::ArrayTooLong { count, max });
        }
        self.charge(count.checked_mul(size_of::<T>()).ok_or(DecodeError::Budget)?)?;
        Ok(Vec::with_capacity(count))
    }

    /// Reads the tagged fields that end a flexible struct. `read_known` decodes the field of a tag it
    /// knows and returns true; others are skipped by their size. A known field must use up its size.
    pub(crate) fn read_tagged_fields(
        &mut self,
        mut read_known: impl FnMut(&mut Reader, u32) -> Result<bool, DecodeError>,
    ) -> Result<(), DecodeError> {
        // Each round reads at least two bytes, so the frame bounds the loop, not the count.
        for _ in 0..self.read_uvarint()? {
            let tag = self.read_uvarint()?;
            let len = usize::try_from(self.read_uvarint()?).map_err(|_| DecodeError::VarintTooLong)?;
            let outer_end = self.end;
            let start = self.advance(len)?;
            self.end = self.position;
            self.position = start;
            let known = read_known(self, tag)?;
            let left = self.remaining();
            if known && left > 0 {
                return Err(DecodeError::TaggedFieldSize { tag, left });
            }
            self.position = self.end;
            self.end = outer_end;
        }
        Ok(())
    }

    /// Skips the tagged fields that end a flexible header.
    pub fn skip_tagged_fields(&mut self) -> Result<(), DecodeError> {
        self.read_tagged_fields(|_, _| Ok(false))
    }
}
