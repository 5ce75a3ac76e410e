//! The production cache: moka, weighed by bytes, with single flight.

use std::sync::Arc;

use async_trait::async_trait;
use moka::future::Cache;
use sluice_store::StoreError;

use super::{BlockCache, BlockKey, BlockLoad, LoadedBlock};

/// Counted on top of a block's bytes: its key, its handles, its place in the cache.
const BLOCK_OVERHEAD_BYTES: u64 = 256;

/// Blocks kept by TinyLFU up to a number of bytes.
#[derive(Debug)]
pub struct MokaBlockCache(Cache<BlockKey, LoadedBlock>);

impl MokaBlockCache {
    /// A cache of at most `bytes_max` bytes.
    #[must_use]
    pub fn new(bytes_max: u64) -> Arc<Self> {
        let cache = Cache::builder()
            .max_capacity(bytes_max)
            .weigher(|_, block: &LoadedBlock| {
                u32::try_from(block.bytes.len().saturating_add(BLOCK_OVERHEAD_BYTES)).unwrap_or(u32::MAX)
            })
            .build();
        Arc::new(Self(cache))
    }
}

#[async_trait]
impl BlockCache for MokaBlockCache {
    async fn get_or_load<'a>(&self, key: BlockKey, load: BlockLoad<'a>) -> Result<LoadedBlock, Arc<StoreError>> {
        self.0.try_get_with(key, load).await
    }

    async fn get(&self, key: BlockKey) -> Option<LoadedBlock> {
        self.0.get(&key).await
    }

    async fn insert(&self, key: BlockKey, block: LoadedBlock) {
        self.0.insert(key, block).await;
    }
}
