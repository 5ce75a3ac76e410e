//! The offsets view in memory: a map that tests and the simulation can look at.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use sluice_store::{OffsetsItem, OffsetsView, StoreResult};

/// Group, topic and slice of an item.
pub type OffsetsKey = (String, String, u32);

/// An offsets view in memory. The replicas of one process share it by its `Arc`. Its size is that of the groups it shows.
#[derive(Default)]
pub struct MemoryOffsetsView(Mutex<BTreeMap<OffsetsKey, OffsetsItem>>);

impl MemoryOffsetsView {
    /// An empty view.
    #[must_use]
    pub fn new() -> Arc<Self> {
        Arc::default()
    }

    /// What it shows: every item, those without offsets included.
    #[must_use]
    pub fn snapshot(&self) -> BTreeMap<OffsetsKey, OffsetsItem> {
        self.lock().clone()
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<OffsetsKey, OffsetsItem>> {
        // No holder leaves the map half changed: each makes whole inserts.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for MemoryOffsetsView {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MemoryOffsetsView").finish_non_exhaustive()
    }
}

#[async_trait]
impl OffsetsView for MemoryOffsetsView {
    async fn put(&self, items: Vec<OffsetsItem>) -> Vec<StoreResult<()>> {
        let mut shown = self.lock();
        let mut put = |item: OffsetsItem| {
            item.check()?;
            let key = (item.group.clone(), item.topic.clone(), item.slice);
            let there = shown.get(&key);
            if there.is_none_or(|there| item.replaces(there.incarnation, there.position)) {
                shown.insert(key, item);
            }
            Ok(())
        };
        items.into_iter().map(&mut put).collect()
    }
}
