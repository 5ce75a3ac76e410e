//! The production cache: moka, weighed by bytes, with single flight, in two lanes.
//!
//! What this gateway wrote goes through a lane that forgets the oldest first: consumers at the tail want exactly what is
//! newest, and nothing of it may cost a read of the store. What was read from the store goes through a lane that admits
//! by frequency, so that one consumer that reads a log from its start does not push out what many others read.

use std::sync::Arc;

use async_trait::async_trait;
use moka::future::Cache;
use moka::policy::EvictionPolicy;
use sluice_store::StoreError;

use super::{BlockCache, BlockKey, BlockLoad, LoadedBlock};

/// Counted on top of a block's bytes: its key, its handles, its place in the cache.
const BLOCK_OVERHEAD_BYTES: u64 = 256;

/// Blocks in memory up to a number of bytes, half of it for each lane.
#[derive(Debug)]
pub struct MokaBlockCache {
    written: Cache<BlockKey, LoadedBlock>,
    read: Cache<BlockKey, LoadedBlock>,
}

impl MokaBlockCache {
    /// A cache of at most `bytes_max` bytes.
    #[must_use]
    pub fn new(bytes_max: u64) -> Arc<Self> {
        let written_max = bytes_max / 2;
        Arc::new(Self {
            written: lane(written_max, EvictionPolicy::lru()),
            read: lane(bytes_max - written_max, EvictionPolicy::tiny_lfu()),
        })
    }
}

fn lane(bytes_max: u64, policy: EvictionPolicy) -> Cache<BlockKey, LoadedBlock> {
    Cache::builder()
        .max_capacity(bytes_max)
        .eviction_policy(policy)
        .weigher(|_, block: &LoadedBlock| {
            u32::try_from(block.bytes.len().saturating_add(BLOCK_OVERHEAD_BYTES)).unwrap_or(u32::MAX)
        })
        .build()
}

#[async_trait]
impl BlockCache for MokaBlockCache {
    async fn get_or_load<'a>(&self, key: BlockKey, load: BlockLoad<'a>) -> Result<LoadedBlock, Arc<StoreError>> {
        self.read.try_get_with(key, load).await
    }

    async fn get(&self, key: BlockKey) -> Option<LoadedBlock> {
        match self.written.get(&key).await {
            Some(block) => Some(block),
            None => self.read.get(&key).await,
        }
    }

    async fn insert(&self, key: BlockKey, block: LoadedBlock) {
        self.written.insert(key, block).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::Bytes;
    use sluice_metadata::{ObjectId, Position, SessionId};

    const BLOCK: usize = 1 << 20;

    fn key(nonce: u64) -> BlockKey {
        BlockKey { object: ObjectId { session: SessionId(Position::new(0, 1)), nonce }, index: 0 }
    }

    fn block(from_store: bool) -> LoadedBlock {
        LoadedBlock { bytes: Bytes::from(vec![0; BLOCK]).into(), from_store }
    }

    async fn load(cache: &MokaBlockCache, key: BlockKey) -> LoadedBlock {
        cache.get_or_load(key, Box::pin(async { Ok(block(true)) })).await.unwrap()
    }

    #[tokio::test]
    async fn what_was_written_last_is_there_however_much_was_written_and_read_before() {
        let cache = MokaBlockCache::new(16 << 20);
        // A popular past, which a cache that admits by frequency would keep in place of anything new.
        for nonce in 0..8 {
            for _ in 0..10 {
                load(&cache, key(nonce)).await;
            }
        }
        for nonce in 1_000..1_100 {
            cache.insert(key(nonce), block(false)).await;
            for recent in (1_000..=nonce).rev().take(4) {
                let found = cache.get(key(recent)).await;
                assert!(found.is_some_and(|block| !block.from_store), "block {recent} after {nonce}");
            }
        }
    }

    // Holds: I-14
    #[tokio::test]
    async fn the_bound_holds_over_both_lanes() {
        let bytes_max = 16 << 20;
        let cache = MokaBlockCache::new(bytes_max);
        for nonce in 0..100 {
            cache.insert(key(nonce), block(false)).await;
            load(&cache, key(1_000 + nonce)).await;
        }
        cache.written.run_pending_tasks().await;
        cache.read.run_pending_tasks().await;
        assert!(cache.written.weighted_size() + cache.read.weighted_size() <= bytes_max);
    }

    #[tokio::test]
    async fn readers_of_one_block_share_its_load() {
        let cache = MokaBlockCache::new(16 << 20);
        let loads = std::sync::atomic::AtomicUsize::new(0);
        let read = || {
            cache.get_or_load(
                key(1),
                Box::pin(async {
                    loads.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
                    tokio::task::yield_now().await;
                    Ok(block(true))
                }),
            )
        };
        let (a, b, c) = tokio::join!(read(), read(), read());
        assert!(a.is_ok() && b.is_ok() && c.is_ok());
        assert_eq!(loads.into_inner(), 1);
    }
}
