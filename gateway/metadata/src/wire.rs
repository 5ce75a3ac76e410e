//! The reader and writer of everything this crate persists: varints, fixed integers, short strings.
//!
//! Promises: reading is checked and bounded (I-09): no count makes it allocate more than the input's own length allows,
//! and there is one encoding of a number, the shortest. Never: panics on any input.

use uuid::Uuid;

use crate::{ObjectId, PartitionKey, Position, SessionId};

/// Why bytes are not an entry, a manifest or a snapshot part.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum DecodeError {
    /// The bytes end too early.
    #[error("the bytes end inside a value")]
    Truncated,
    /// A count or length that the bytes left cannot hold.
    #[error("a count or length is larger than the bytes that follow")]
    TooLong,
    /// A varint of more than 64 bits, a number too large for its field, or not in its shortest form.
    #[error("a number is malformed or too large for its field")]
    BadNumber,
    /// A string that is not UTF-8.
    #[error("a string is not UTF-8")]
    BadString,
    /// A format version this build does not know.
    #[error("unknown format version {0}")]
    UnknownVersion(u8),
    /// A command this build does not know (L11: stop before acting).
    #[error("unknown command {0}")]
    UnknownCommand(u8),
    /// A tag or flag this build does not know.
    #[error("unknown tag {0}")]
    UnknownTag(u8),
    /// Bytes after the end.
    #[error("{0} bytes after the end")]
    Trailing(usize),
}

/// Appends values to a buffer.
#[derive(Debug, Default)]
pub(crate) struct Writer {
    buffer: Vec<u8>,
}

impl Writer {
    pub(crate) fn with_capacity(capacity: usize) -> Self {
        Self { buffer: Vec::with_capacity(capacity) }
    }

    pub(crate) fn u8(&mut self, value: u8) {
        self.buffer.push(value);
    }

    pub(crate) fn u16(&mut self, value: u16) {
        self.buffer.extend_from_slice(&value.to_le_bytes());
    }

    pub(crate) fn u64(&mut self, value: u64) {
        self.buffer.extend_from_slice(&value.to_le_bytes());
    }

    pub(crate) fn u128(&mut self, value: u128) {
        self.buffer.extend_from_slice(&value.to_le_bytes());
    }

    /// Seven bits a byte, least significant first.
    pub(crate) fn varint(&mut self, mut value: u64) {
        while value >= 0x80 {
            self.buffer.push(value.to_le_bytes()[0] | 0x80);
            value >>= 7;
        }
        self.buffer.push(value.to_le_bytes()[0]);
    }

    pub(crate) fn zigzag(&mut self, value: i64) {
        self.varint((value.cast_unsigned() << 1) ^ (value >> 63).cast_unsigned());
    }

    /// A length or count. `usize` has at most 64 bits on every platform Rust knows.
    pub(crate) fn count(&mut self, count: usize) {
        self.varint(u64::try_from(count).unwrap_or(u64::MAX));
    }

    pub(crate) fn bytes(&mut self, bytes: &[u8]) {
        self.buffer.extend_from_slice(bytes);
    }

    pub(crate) fn string(&mut self, text: &str) {
        self.count(text.len());
        self.bytes(text.as_bytes());
    }

    pub(crate) fn uuid(&mut self, id: Uuid) {
        self.bytes(id.as_bytes());
    }

    pub(crate) fn position(&mut self, position: Position) {
        self.varint(position.raw());
    }

    pub(crate) fn object(&mut self, object: ObjectId) {
        self.position(object.session.0);
        self.u64(object.nonce);
    }

    pub(crate) fn partition_key(&mut self, key: PartitionKey) {
        self.uuid(key.topic_id);
        self.zigzag(i64::from(key.partition));
    }

    pub(crate) fn len(&self) -> usize {
        self.buffer.len()
    }

    pub(crate) fn as_slice(&self) -> &[u8] {
        &self.buffer
    }

    pub(crate) fn clear(&mut self) {
        self.buffer.clear();
    }

    pub(crate) fn into_vec(self) -> Vec<u8> {
        self.buffer
    }
}

/// Takes values from bytes that came from outside.
#[derive(Debug, Clone)]
pub(crate) struct Reader<'a> {
    rest: &'a [u8],
}

type Read<T> = Result<T, DecodeError>;

impl<'a> Reader<'a> {
    pub(crate) fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.rest.is_empty()
    }

    /// An error when bytes are left: nothing is skipped silently.
    pub(crate) fn finish(&self) -> Read<()> {
        if self.rest.is_empty() { Ok(()) } else { Err(DecodeError::Trailing(self.rest.len())) }
    }

    pub(crate) fn take(&mut self, len: usize) -> Read<&'a [u8]> {
        let (taken, rest) = self.rest.split_at_checked(len).ok_or(DecodeError::Truncated)?;
        self.rest = rest;
        Ok(taken)
    }

    fn array<const N: usize>(&mut self) -> Read<[u8; N]> {
        let (taken, rest) = self.rest.split_first_chunk::<N>().ok_or(DecodeError::Truncated)?;
        self.rest = rest;
        Ok(*taken)
    }

    pub(crate) fn u8(&mut self) -> Read<u8> {
        Ok(u8::from_le_bytes(self.array()?))
    }

    pub(crate) fn u64(&mut self) -> Read<u64> {
        Ok(u64::from_le_bytes(self.array()?))
    }

    pub(crate) fn u128(&mut self) -> Read<u128> {
        Ok(u128::from_le_bytes(self.array()?))
    }

    pub(crate) fn varint(&mut self) -> Read<u64> {
        let mut value = 0_u64;
        for shift in (0..64).step_by(7) {
            let byte = self.u8()?;
            let bits = u64::from(byte & 0x7f);
            // The tenth byte has room for one bit only.
            if shift == 63 && bits > 1 {
                return Err(DecodeError::BadNumber);
            }
            value |= bits << shift;
            if byte & 0x80 == 0 {
                let overlong = byte == 0 && shift > 0;
                return if overlong { Err(DecodeError::BadNumber) } else { Ok(value) };
            }
        }
        Err(DecodeError::BadNumber)
    }

    pub(crate) fn varint_u32(&mut self) -> Read<u32> {
        u32::try_from(self.varint()?).map_err(|_| DecodeError::BadNumber)
    }

    pub(crate) fn varint_u16(&mut self) -> Read<u16> {
        u16::try_from(self.varint()?).map_err(|_| DecodeError::BadNumber)
    }

    pub(crate) fn zigzag(&mut self) -> Read<i64> {
        let value = self.varint()?;
        Ok((value >> 1).cast_signed() ^ -((value & 1).cast_signed()))
    }

    pub(crate) fn zigzag_i32(&mut self) -> Read<i32> {
        i32::try_from(self.zigzag()?).map_err(|_| DecodeError::BadNumber)
    }

    pub(crate) fn zigzag_i16(&mut self) -> Read<i16> {
        i16::try_from(self.zigzag()?).map_err(|_| DecodeError::BadNumber)
    }

    /// A count of elements of at least `element_bytes_min` bytes each; an error when the rest cannot hold so many.
    pub(crate) fn count(&mut self, element_bytes_min: usize) -> Read<usize> {
        let count = usize::try_from(self.varint()?).map_err(|_| DecodeError::TooLong)?;
        let needed = count.checked_mul(element_bytes_min).ok_or(DecodeError::TooLong)?;
        if needed > self.rest.len() { Err(DecodeError::TooLong) } else { Ok(count) }
    }

    pub(crate) fn string(&mut self) -> Read<&'a str> {
        let len = self.count(1)?;
        std::str::from_utf8(self.take(len)?).map_err(|_| DecodeError::BadString)
    }

    pub(crate) fn uuid(&mut self) -> Read<Uuid> {
        Ok(Uuid::from_bytes(self.array()?))
    }

    pub(crate) fn position(&mut self) -> Read<Position> {
        Ok(Position::from_raw(self.varint()?))
    }

    pub(crate) fn session(&mut self) -> Read<SessionId> {
        Ok(SessionId(self.position()?))
    }

    pub(crate) fn object(&mut self) -> Read<ObjectId> {
        Ok(ObjectId { session: self.session()?, nonce: self.u64()? })
    }

    pub(crate) fn partition_key(&mut self) -> Read<PartitionKey> {
        Ok(PartitionKey { topic_id: self.uuid()?, partition: self.zigzag_i32()? })
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_bounds_of_numbers_round_trip() {
        for value in [0, 1, 127, 128, 16_383, 16_384, u64::from(u32::MAX), u64::MAX - 1, u64::MAX] {
            let mut writer = Writer::default();
            writer.varint(value);
            let mut reader = Reader::new(writer.as_slice());
            assert_eq!(reader.varint(), Ok(value));
            assert!(reader.is_empty());
        }
        for value in [0, -1, 1, i64::MIN, i64::MAX] {
            let mut writer = Writer::default();
            writer.zigzag(value);
            assert_eq!(Reader::new(writer.as_slice()).zigzag(), Ok(value));
        }
    }

    #[test]
    fn a_number_in_another_than_its_shortest_form_is_refused() {
        for bad in [&[0x80, 0x00][..], &[0xff; 11], &[0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x02]] {
            assert_eq!(Reader::new(bad).varint(), Err(DecodeError::BadNumber), "{bad:?}");
        }
        assert_eq!(Reader::new(&[0xff; 9]).varint(), Err(DecodeError::Truncated));
    }

    // Holds: I-09
    #[test]
    fn a_count_is_bounded_by_the_bytes_that_follow() {
        let mut writer = Writer::default();
        writer.varint(3);
        writer.bytes(&[0; 6]);
        assert_eq!(Reader::new(writer.as_slice()).count(2), Ok(3));
        assert_eq!(Reader::new(writer.as_slice()).count(3), Err(DecodeError::TooLong));
        let mut writer = Writer::default();
        writer.varint(u64::MAX);
        assert_eq!(Reader::new(writer.as_slice()).count(1), Err(DecodeError::TooLong));
        assert_eq!(Reader::new(writer.as_slice()).string(), Err(DecodeError::TooLong));
    }

    proptest! {
        #![proptest_config(crate::simulation::config(512))]
        #[test]
        fn values_round_trip(a: u64, b: i64, c: u128, d: u16, text in ".{0,40}", key: (u128, i32)) {
            let key = PartitionKey { topic_id: Uuid::from_u128(key.0), partition: key.1 };
            let mut writer = Writer::default();
            writer.varint(a);
            writer.zigzag(b);
            writer.u128(c);
            writer.varint(u64::from(d));
            writer.string(&text);
            writer.partition_key(key);
            let mut reader = Reader::new(writer.as_slice());
            prop_assert_eq!(reader.varint().unwrap(), a);
            prop_assert_eq!(reader.zigzag().unwrap(), b);
            prop_assert_eq!(reader.u128().unwrap(), c);
            prop_assert_eq!(reader.varint_u16().unwrap(), d);
            prop_assert_eq!(reader.string().unwrap(), text.as_str());
            prop_assert_eq!(reader.partition_key().unwrap(), key);
            prop_assert!(reader.finish().is_ok());
        }
    }
}
