//! Segments in memory, in aligned blocks, and reading through to the store.
//!
//! Promises: a block read by many at once is fetched once; what this gateway wrote is there before it is acknowledged;
//! bytes that came from the store are marked, so that their CRCs are checked before they are served (I-10).
//! Never: copies record bytes; decides what a fetch may see.
//! The cache itself sits behind a seam ([`BlockCache`]), because its production form is not deterministic.

mod lru;
mod moka_cache;
mod reader;

use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use futures_util::future::BoxFuture;
use sluice_metadata::ObjectId;
use sluice_store::{ByteChunks, StoreError};

pub use lru::LruBlockCache;
pub use moka_cache::MokaBlockCache;
pub(crate) use reader::{ReadFailure, SegmentReader};

/// Which block of which segment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct BlockKey {
    /// The segment.
    pub object: ObjectId,
    /// The block: bytes `index * block_bytes ..` of the segment.
    pub index: u64,
}

/// A block's bytes and where they come from.
#[derive(Debug, Clone)]
pub struct LoadedBlock {
    /// Its bytes: `block_bytes` of them, fewer at the segment's end.
    pub bytes: ByteChunks,
    /// True when they were read from the store: their CRCs are still to be checked.
    pub from_store: bool,
}

/// Loads one block from the store.
pub type BlockLoad<'a> = BoxFuture<'a, Result<LoadedBlock, StoreError>>;

/// Blocks in memory, bounded by their bytes.
#[async_trait]
pub trait BlockCache: Send + Sync + fmt::Debug + 'static {
    /// The block, loaded by `load` when it is not there. Whoever asks for it meanwhile shares the load.
    async fn get_or_load<'a>(&self, key: BlockKey, load: BlockLoad<'a>) -> Result<LoadedBlock, Arc<StoreError>>;

    /// The block if it is there.
    async fn get(&self, key: BlockKey) -> Option<LoadedBlock>;

    /// Puts a block in.
    async fn insert(&self, key: BlockKey, block: LoadedBlock);
}
