//! Reading ranges of segments through the cache.

use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;
use futures_util::FutureExt;
use futures_util::future::try_join_all;
use sluice_metadata::{Incarnation, ObjectId};
use sluice_store::{ByteChunks, ByteRange, ObjectKey, StoreError, StoreErrorKind};

use super::{BlockKey, BlockLoad, LoadedBlock};
use crate::engine::EngineParts;
use crate::metrics::Metrics;

/// Why a range could not be read.
#[derive(Debug, Clone)]
pub(crate) enum ReadFailure {
    /// The segment is not there.
    Missing(String),
    /// The store did not give it now.
    Unavailable(String),
    /// The segment is shorter than the extent says.
    Short(String),
}

/// The bytes of a range.
#[derive(Debug)]
pub(crate) struct ReadRange {
    /// The bytes as a rope.
    pub(crate) chunks: Vec<Bytes>,
    /// True when any of them came from the store: their CRCs are still to be checked.
    pub(crate) from_store: bool,
}

/// Reads segments through the cache.
#[derive(Debug, Clone)]
pub(crate) struct SegmentReader {
    parts: Arc<EngineParts>,
    metrics: Arc<Metrics>,
}

impl SegmentReader {
    pub(crate) fn new(parts: Arc<EngineParts>, metrics: Arc<Metrics>) -> Self {
        Self { parts, metrics }
    }

    /// The key of a segment.
    ///
    /// # Errors
    /// Never for the ids that State holds; the error is the key's.
    pub(crate) fn key(&self, object: ObjectId) -> Result<ObjectKey, StoreError> {
        ObjectKey::new(object.key(Incarnation(self.parts.log.incarnation().0)))
    }

    /// Puts a segment that was just written into the cache.
    pub(crate) async fn insert(&self, object: ObjectId, bytes: &ByteChunks) {
        let block_bytes = self.block_bytes();
        for index in 0..bytes.len().div_ceil(block_bytes) {
            let block = bytes.slice(index * block_bytes..(index + 1) * block_bytes);
            self.parts.cache.insert(BlockKey { object, index }, LoadedBlock { bytes: block, from_store: false }).await;
        }
    }

    /// The bytes `range` of a segment, all of them.
    pub(crate) async fn read(&self, object: ObjectId, range: Range<u64>) -> Result<ReadRange, ReadFailure> {
        let block_bytes = self.block_bytes();
        let first = range.start / block_bytes;
        let last = range.end.saturating_sub(1) / block_bytes;
        let blocks = if first == last {
            vec![self.block(object, first).await?]
        } else {
            try_join_all((first..=last).map(|index| self.block(object, index))).await?
        };
        let mut read = ReadRange { chunks: Vec::new(), from_store: false };
        let mut len = 0;
        for (index, block) in (first..=last).zip(blocks) {
            let base = index * block_bytes;
            let part = block.bytes.slice(range.start.saturating_sub(base)..range.end.saturating_sub(base));
            len += part.len();
            read.from_store |= block.from_store;
            read.chunks.extend(part.into_chunks());
        }
        if len != range.end - range.start {
            let why = format!("{} has {len} of the bytes {range:?}", object.key(self.incarnation()));
            return Err(ReadFailure::Short(why));
        }
        Ok(read)
    }

    async fn block(&self, object: ObjectId, index: u64) -> Result<LoadedBlock, ReadFailure> {
        let key = BlockKey { object, index };
        // The common case, without the boxed load.
        if let Some(block) = self.parts.cache.get(key).await {
            return Ok(block);
        }
        let answer = self.parts.cache.get_or_load(key, self.load(key)).await;
        answer.map_err(|error| match error.kind() {
            StoreErrorKind::NotFound => ReadFailure::Missing(error.to_string()),
            StoreErrorKind::Invalid | StoreErrorKind::Corrupt => ReadFailure::Short(error.to_string()),
            _ => ReadFailure::Unavailable(error.to_string()),
        })
    }

    fn load(&self, key: BlockKey) -> BlockLoad<'_> {
        async move {
            let start = key.index * self.block_bytes();
            let range = ByteRange::Bounded { start, end: start + self.block_bytes() };
            self.metrics.blocks_read.inc();
            let bytes = self.parts.objects.get(&self.key(key.object)?, range).await?;
            Ok(LoadedBlock { bytes, from_store: true })
        }
        .boxed()
    }

    fn block_bytes(&self) -> u64 {
        self.parts.limits.cache_block_bytes.max(1)
    }

    fn incarnation(&self) -> Incarnation {
        Incarnation(self.parts.log.incarnation().0)
    }
}
