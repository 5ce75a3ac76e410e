//! Records out of a batch.
//!
//! Promises: as many records as the header counts, or an error in the place of the first that cannot be read, and
//! then nothing; without compression keys and values are slices of the batch. Memory: the decompressed records
//! (bounded by the caller) and one record's header list (each header takes at least 2 bytes of input). Never does:
//! check the CRC (`validate`, `patch` do). Called by: `engine/fetch` for ListOffsets by timestamp; tests.
//!
//! A record, after its length (varints are zigzag, KIP-98): attributes (1 byte, unused), timestamp delta (varlong),
//! offset delta (varint), key length or −1 (varint), key, value length or −1, value, header count (varint), and per
//! header: key length, key, value length or −1, value.

use bytes::{Buf, Bytes};

use crate::varint::{read_varint, read_varlong};
use crate::{BATCH_OVERHEAD, BatchError, BatchHeader, TimestampType};

/// A record's header: its key, and its value if there is one (KIP-82).
pub type RecordHeader = (Bytes, Option<Bytes>);

/// Header lists start with room for no more than this; longer ones grow as headers are really found.
const HEADERS_AT_FIRST: usize = 16;

/// One record, deltas as on the wire.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Record {
    /// Flag bits; Kafka defines none.
    pub attributes: i8,
    /// Milliseconds after the batch's base timestamp.
    pub timestamp_delta: i64,
    /// Offset after the batch's base offset, as its writer claims.
    pub offset_delta: i32,
    /// The key, if there is one.
    pub key: Option<Bytes>,
    /// The value; None is a tombstone.
    pub value: Option<Bytes>,
    /// Headers in order; keys may repeat.
    pub headers: Vec<RecordHeader>,
}

impl Record {
    /// Its timestamp in the batch of this header, in milliseconds.
    #[must_use]
    pub fn timestamp(&self, header: &BatchHeader) -> i64 {
        match header.timestamp_type() {
            TimestampType::CreateTime => header.base_timestamp.saturating_add(self.timestamp_delta),
            TimestampType::LogAppendTime => header.max_timestamp,
        }
    }
}

/// Iterator over a batch's records, from [`records`].
#[derive(Debug, Clone)]
pub struct RecordIter {
    data: Fields,
    left: i32,
}

/// The records of `batch`, which must be exactly one batch. At most `max_decompressed` bytes are decompressed;
/// uncompressed records are not copied and not bounded by it.
///
/// Errors: those of [`BatchHeader::parse`]; `Corrupt` if the batch is not exactly as long as it says;
/// `UnsupportedCompression`; `TooLarge` if more than `max_decompressed` bytes come out; `InvalidRecord` if the
/// compressed data is malformed. The iterator gives `InvalidRecord` for a malformed record, for missing ones, and for
/// bytes behind the last.
pub fn records(batch: &Bytes, max_decompressed: usize) -> Result<RecordIter, BatchError> {
    let header = BatchHeader::parse(batch)?;
    records_of(batch, &header, max_decompressed)
}

fn records_of(batch: &Bytes, header: &BatchHeader, max_decompressed: usize) -> Result<RecordIter, BatchError> {
    if header.total_len() != batch.len() {
        return Err(BatchError::corrupt(format!(
            "the batch says it has {} bytes; there are {}",
            header.total_len(),
            batch.len()
        )));
    }
    // total_len is at least the overhead, so the slice is in bounds.
    RecordIter::of_payload(&batch.slice(BATCH_OVERHEAD..), header, max_decompressed)
}

impl RecordIter {
    /// Records that are decompressed already.
    pub(crate) fn new(data: Bytes, count: i32) -> Self {
        Self { data: Fields(data), left: count }
    }

    /// The records of a batch with this header and, behind it, this payload.
    pub(crate) fn of_payload(
        payload: &Bytes,
        header: &BatchHeader,
        max_decompressed: usize,
    ) -> Result<Self, BatchError> {
        let data = header.compression()?.decompress(payload, max_decompressed)?;
        Ok(Self::new(data, header.record_count))
    }
}

/// The first record of `batch` with an offset delta of at least `from_delta` whose timestamp is at or after `target` (ms):
/// its offset delta and its timestamp. None if there is none. A batch whose header claims that all its timestamps are earlier
/// is not decompressed. Under LogAppendTime every record has the batch's maximal timestamp.
///
/// Errors: those of [`records`], and `InvalidRecord` if a record looked at claims an offset outside its batch.
pub fn find_timestamp(
    batch: &Bytes,
    from_delta: i32,
    target: i64,
    max_decompressed: usize,
) -> Result<Option<(i32, i64)>, BatchError> {
    let header = BatchHeader::parse(batch)?;
    if header.max_timestamp < target {
        return Ok(None);
    }
    for record in records_of(batch, &header, max_decompressed)? {
        let (delta, timestamp) = place_of(&record?, &header)?;
        if timestamp >= target && delta >= from_delta {
            return Ok(Some((delta, timestamp)));
        }
    }
    Ok(None)
}

/// The record of `batch` with an offset delta of at least `from_delta` that has the greatest timestamp (ms), the first of
/// them if there are several: its offset delta and its timestamp. None if there is no such record. Errors as of
/// [`find_timestamp`].
pub fn find_greatest_timestamp(
    batch: &Bytes,
    from_delta: i32,
    max_decompressed: usize,
) -> Result<Option<(i32, i64)>, BatchError> {
    let header = BatchHeader::parse(batch)?;
    let mut best: Option<(i32, i64)> = None;
    for record in records_of(batch, &header, max_decompressed)? {
        let (delta, timestamp) = place_of(&record?, &header)?;
        if delta >= from_delta && best.is_none_or(|(_, greatest)| timestamp > greatest) {
            best = Some((delta, timestamp));
        }
    }
    Ok(best)
}

/// Offset delta and timestamp of a record.
fn place_of(record: &Record, header: &BatchHeader) -> Result<(i32, i64), BatchError> {
    if !(0..=header.last_offset_delta).contains(&record.offset_delta) {
        return Err(BatchError::invalid_record(format!(
            "a record claims offset delta {}, its batch ends at {}",
            record.offset_delta, header.last_offset_delta
        )));
    }
    Ok((record.offset_delta, record.timestamp(header)))
}

impl Iterator for RecordIter {
    type Item = Result<Record, BatchError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.left <= 0 {
            let surplus = std::mem::take(&mut self.data.0).len();
            return (surplus > 0).then(|| {
                Err(BatchError::invalid_record(format!("{surplus} bytes follow the last record of the batch")))
            });
        }
        let Some(record) = self.data.record() else {
            // Where the next record starts is not known any more.
            let missing = std::mem::take(&mut self.left);
            self.data.0.clear();
            return Some(Err(BatchError::invalid_record(format!(
                "a record is malformed or cut; {missing} of the batch's records were still to come"
            ))));
        };
        self.left = self.left.saturating_sub(1);
        Some(Ok(record))
    }
}

impl std::iter::FusedIterator for RecordIter {}

/// Bytes of records, or of one record's body, that are not read yet. Every read is None if they end first.
#[derive(Debug, Clone)]
struct Fields(Bytes);

impl Fields {
    fn record(&mut self) -> Option<Record> {
        let mut body = Self(self.sized()?);
        let record = Record {
            attributes: body.byte()?,
            timestamp_delta: body.number(read_varlong)?,
            offset_delta: body.number(read_varint)?,
            key: body.nullable()?,
            value: body.nullable()?,
            headers: body.headers()?,
        };
        // A body longer than its fields is as wrong as a shorter one.
        body.0.is_empty().then_some(record)
    }

    fn byte(&mut self) -> Option<i8> {
        let byte = *self.0.first()?;
        self.0.advance(1);
        Some(byte.cast_signed())
    }

    fn number<T>(&mut self, read: impl Fn(&mut &[u8]) -> Option<T>) -> Option<T> {
        let mut ahead: &[u8] = &self.0;
        let value = read(&mut ahead)?;
        // `ahead` is an end of the bytes, so this cannot underflow.
        let used = self.0.len().checked_sub(ahead.len())?;
        self.0.advance(used);
        Some(value)
    }

    /// A length and as many bytes; any negative length means there are none, as in Kafka.
    fn nullable(&mut self) -> Option<Option<Bytes>> {
        let Ok(len) = usize::try_from(self.number(read_varint)?) else {
            return Some(None);
        };
        (len <= self.0.len()).then(|| Some(self.0.split_to(len)))
    }

    /// A length that must not be negative, and as many bytes.
    fn sized(&mut self) -> Option<Bytes> {
        self.nullable()?
    }

    fn headers(&mut self) -> Option<Vec<RecordHeader>> {
        let count = usize::try_from(self.number(read_varint)?).ok()?;
        let mut headers = Vec::with_capacity(count.min(HEADERS_AT_FIRST));
        for _ in 0..count {
            // A header key may be empty but never missing.
            headers.push((self.sized()?, self.nullable()?));
        }
        Some(headers)
    }
}
