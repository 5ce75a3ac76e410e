//! Objects: immutable bytes under keys that are never reused (I-03).

use std::fmt;
use std::ops::Range;
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;

use crate::{StoreClock, StoreError, StoreErrorKind, StoreResult};

/// A key: segments of `[A-Za-z0-9._-]`, separated by single slashes, each at most 255 bytes, 900 bytes in all.
///
/// No key may be another key followed by "/…": stores over file systems refuse or hide one of the two. The key shapes in
/// use (see `docs/data-layout.md`) keep this by having a fixed depth.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ObjectKey(Arc<str>);

impl ObjectKey {
    /// Longest key, in bytes.
    pub const MAX_BYTES: usize = 900;
    /// Longest path segment, in bytes.
    pub const MAX_SEGMENT_BYTES: usize = 255;

    /// Checks and makes a key.
    ///
    /// # Errors
    /// `Invalid` when the text is not of the form above.
    pub fn new(key: impl AsRef<str>) -> StoreResult<Self> {
        let key = key.as_ref();
        let legal = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-');
        let segment_ok = |s: &str| {
            !s.is_empty() && s.len() <= Self::MAX_SEGMENT_BYTES && s != "." && s != ".." && s.bytes().all(legal)
        };
        if key.len() > Self::MAX_BYTES || !key.split('/').all(segment_ok) {
            return Err(StoreError::new(StoreErrorKind::Invalid, format!("object key {key:?}")));
        }
        Ok(Self(key.into()))
    }

    /// The key's text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for ObjectKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// An object's bytes as a rope: written without being joined, read as received.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ByteChunks {
    chunks: Vec<Bytes>,
    len: u64,
}

impl ByteChunks {
    /// The rope of these chunks; empty ones are left out.
    #[must_use]
    pub fn new(chunks: Vec<Bytes>) -> Self {
        let mut rope = Self { chunks, len: 0 };
        rope.chunks.retain(|c| !c.is_empty());
        rope.len = rope.chunks.iter().map(|c| c.len() as u64).sum();
        rope
    }

    /// Its length in bytes.
    #[must_use]
    pub fn len(&self) -> u64 {
        self.len
    }

    /// True without bytes.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Its chunks, none empty.
    #[must_use]
    pub fn chunks(&self) -> &[Bytes] {
        &self.chunks
    }

    /// Its chunks.
    #[must_use]
    pub fn into_chunks(self) -> Vec<Bytes> {
        self.chunks
    }

    /// The bytes of `range` as a rope that shares them. What lies past the end is left out.
    #[must_use]
    pub fn slice(&self, range: Range<u64>) -> Self {
        let mut out = Vec::new();
        let mut at = 0u64;
        for chunk in &self.chunks {
            let end = at + chunk.len() as u64;
            let (from, to) = (range.start.max(at), range.end.min(end));
            if from < to {
                // Both differences are at most the chunk's length, which is a usize.
                out.push(chunk.slice((from - at) as usize..(to - at) as usize));
            }
            at = end;
            if at >= range.end {
                break;
            }
        }
        Self::new(out)
    }

    /// CRC32C of all bytes, without joining them.
    #[must_use]
    pub fn crc32c(&self) -> u32 {
        self.chunks.iter().fold(0, |crc, chunk| crc32c::crc32c_append(crc, chunk))
    }

    /// All bytes in one piece: copies unless there is one chunk. For small objects and tests.
    #[must_use]
    pub fn to_bytes(&self) -> Bytes {
        match self.chunks.as_slice() {
            [] => Bytes::new(),
            [one] => one.clone(),
            many => many.concat().into(),
        }
    }
}

impl From<Bytes> for ByteChunks {
    fn from(bytes: Bytes) -> Self {
        Self::new(vec![bytes])
    }
}

/// Which bytes of an object.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ByteRange {
    /// All.
    Full,
    /// `start..end`, not empty. `end` beyond the object's end is cut; `start` at or beyond it is `Invalid`.
    Bounded {
        /// First byte.
        start: u64,
        /// One past the last byte.
        end: u64,
    },
    /// The last n bytes (all, when the object is smaller).
    Suffix(u64),
}

impl ByteRange {
    /// The bytes this range means of an object of `size_bytes`: inside the object, and empty only where the object or
    /// the suffix is.
    ///
    /// # Errors
    /// `Invalid` for a bounded range that is empty, or that starts at or past the end.
    pub fn within(self, size_bytes: u64) -> StoreResult<Range<u64>> {
        match self {
            Self::Full => Ok(0..size_bytes),
            Self::Suffix(n) => Ok(size_bytes.saturating_sub(n)..size_bytes),
            Self::Bounded { start, end } if start < end && start < size_bytes => Ok(start..end.min(size_bytes)),
            Self::Bounded { start, end } => {
                let message = format!("range {start}..{end} of an object of {size_bytes} bytes");
                Err(StoreError::new(StoreErrorKind::Invalid, message))
            }
        }
    }
}

/// How to put.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct PutOptions {
    /// Fail with `AlreadyExists` when the key is taken, and leave the object there as it is.
    pub create_only: bool,
    /// CRC32C of the bytes, checked by the store before the object becomes visible; a mismatch is `Corrupt`.
    pub crc32c: Option<u32>,
}

/// What is known of an object without its bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ObjectInfo {
    /// Its key.
    pub key: ObjectKey,
    /// Its length in bytes.
    pub size_bytes: u64,
    /// When it was written, by the store's clock, in milliseconds since the epoch.
    pub last_modified_ms: i64,
    /// The CRC32C kept with it, where the store keeps one (never in a listing).
    pub crc32c: Option<u32>,
}

/// What an object store can do and costs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoreCapabilities {
    /// For logs and metrics: "memory", "disk", "s3".
    pub name: &'static str,
    /// True when each put costs money or has a rate limit, so that puts are budgeted (the PUT bucket).
    pub puts_are_metered: bool,
    /// True when objects survive the end of this process.
    pub durable: bool,
}

/// A store of immutable objects.
///
/// Every operation is complete when it returns `Ok`: a put is durable and visible to every reader (S3's strong read-after-write).
#[async_trait]
pub trait ObjectStore: Send + Sync + fmt::Debug + 'static {
    /// Writes an object whole or not at all.
    ///
    /// # Errors
    /// `AlreadyExists` (create-only), `Corrupt` (checksum), `Unknown` when it may have been written.
    async fn put(&self, key: &ObjectKey, bytes: ByteChunks, options: PutOptions) -> StoreResult<()>;

    /// Reads bytes of an object.
    ///
    /// # Errors
    /// `NotFound`; `Invalid` for a bounded range that starts at or past the end.
    async fn get(&self, key: &ObjectKey, range: ByteRange) -> StoreResult<ByteChunks>;

    /// What is known of an object.
    ///
    /// # Errors
    /// `NotFound`.
    async fn head(&self, key: &ObjectKey) -> StoreResult<ObjectInfo>;

    /// Objects whose key begins with `prefix` and is greater than `start_after`, in key order, at most `limit` of them.
    ///
    /// # Errors
    /// Those of any read.
    async fn list(&self, prefix: &str, start_after: Option<&ObjectKey>, limit: usize) -> StoreResult<Vec<ObjectInfo>>;

    /// Deletes objects; `results[i]` answers `keys[i]`. A key that is not there is `Ok`.
    async fn delete(&self, keys: &[ObjectKey]) -> Vec<StoreResult<()>>;

    /// What it can do.
    fn capabilities(&self) -> StoreCapabilities;

    /// What it knows of the time (T3), without asking: a store that has a clock of its own says what its last answer told,
    /// whatever that answered (a refusal, too).
    fn clock(&self) -> StoreClock;
}
