//! The deterministic twin: least recently used goes first; the same calls give the same contents. For the simulation.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use sluice_store::StoreError;

use super::{BlockCache, BlockKey, BlockLoad, LoadedBlock};

#[derive(Debug, Default)]
struct Blocks {
    by_key: BTreeMap<BlockKey, (u64, LoadedBlock)>,
    by_use: BTreeMap<u64, BlockKey>,
    uses: u64,
    bytes: u64,
}

/// Blocks kept by last use up to a number of bytes. Loads are not shared.
#[derive(Debug)]
pub struct LruBlockCache {
    blocks: Mutex<Blocks>,
    bytes_max: u64,
}

impl LruBlockCache {
    /// A cache of at most `bytes_max` bytes.
    #[must_use]
    pub fn new(bytes_max: u64) -> Arc<Self> {
        Arc::new(Self { blocks: Mutex::default(), bytes_max })
    }

    fn blocks(&self) -> MutexGuard<'_, Blocks> {
        self.blocks.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Blocks {
    fn remove(&mut self, key: BlockKey) -> Option<LoadedBlock> {
        let (used, block) = self.by_key.remove(&key)?;
        self.by_use.remove(&used);
        self.bytes = self.bytes.saturating_sub(block.bytes.len());
        Some(block)
    }

    fn put(&mut self, key: BlockKey, block: LoadedBlock, bytes_max: u64) {
        self.remove(key);
        self.uses += 1;
        self.bytes += block.bytes.len();
        self.by_use.insert(self.uses, key);
        self.by_key.insert(key, (self.uses, block));
        while self.bytes > bytes_max {
            let Some(oldest) = self.by_use.values().next().copied() else { break };
            self.remove(oldest);
        }
    }
}

#[async_trait]
impl BlockCache for LruBlockCache {
    async fn get_or_load<'a>(&self, key: BlockKey, load: BlockLoad<'a>) -> Result<LoadedBlock, Arc<StoreError>> {
        if let Some(block) = self.get(key).await {
            return Ok(block);
        }
        let block = load.await.map_err(Arc::new)?;
        self.insert(key, block.clone()).await;
        Ok(block)
    }

    async fn get(&self, key: BlockKey) -> Option<LoadedBlock> {
        let mut blocks = self.blocks();
        let block = blocks.remove(key)?;
        blocks.put(key, block.clone(), self.bytes_max);
        Some(block)
    }

    async fn insert(&self, key: BlockKey, block: LoadedBlock) {
        self.blocks().put(key, block, self.bytes_max);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::Bytes;
    use sluice_metadata::{ObjectId, Position, SessionId};

    fn key(index: u64) -> BlockKey {
        BlockKey { object: ObjectId { session: SessionId(Position::new(0, 1)), nonce: 1 }, index }
    }

    fn block(len: usize) -> LoadedBlock {
        LoadedBlock { bytes: Bytes::from(vec![0; len]).into(), from_store: false }
    }

    // Holds: I-14
    #[tokio::test]
    async fn the_least_recently_used_goes_first_and_the_bound_holds() {
        let cache = LruBlockCache::new(30);
        for index in 0..3 {
            cache.insert(key(index), block(10)).await;
        }
        assert!(cache.get(key(0)).await.is_some());
        cache.insert(key(3), block(10)).await;
        assert!(cache.get(key(1)).await.is_none(), "the one not used since");
        assert!(cache.get(key(0)).await.is_some());
        assert_eq!(cache.blocks().bytes, 30);
        cache.insert(key(4), block(100)).await;
        assert_eq!(cache.blocks().bytes, 0, "larger than the cache: kept out");
    }
}
