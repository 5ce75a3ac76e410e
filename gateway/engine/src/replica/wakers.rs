//! Who waits for a partition to grow: long polls.
//!
//! Promises: a waiter registered before the State it looked at was replaced is woken when one of its partitions grows.
//! Never: holds a lock across an await; keeps a waiter that is gone.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use sluice_metadata::PartitionKey;
use tokio::sync::Notify;

type Waiting = BTreeMap<PartitionKey, Vec<(u64, Arc<Notify>)>>;

/// The long polls of one gateway, by partition.
#[derive(Debug, Default)]
pub(crate) struct Wakers {
    waiting: Mutex<Waiting>,
    next_id: AtomicU64,
    count: AtomicUsize,
    interrupted: AtomicBool,
}

/// A registration: ends when dropped.
#[derive(Debug)]
pub(crate) struct WakeGuard<'a> {
    wakers: &'a Wakers,
    id: u64,
    keys: Vec<PartitionKey>,
    notify: Arc<Notify>,
}

impl Wakers {
    /// Registers a wait for any of `keys` to grow.
    pub(crate) fn register(&self, keys: Vec<PartitionKey>) -> WakeGuard<'_> {
        let id = self.next_id.fetch_add(1, Ordering::Relaxed);
        let notify = Arc::new(Notify::new());
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        for key in &keys {
            waiting.entry(*key).or_default().push((id, notify.clone()));
        }
        drop(waiting);
        self.count.fetch_add(1, Ordering::Relaxed);
        WakeGuard { wakers: self, id, keys, notify }
    }

    /// Wakes who waits for any of `touched`.
    pub(crate) fn wake(&self, touched: &[PartitionKey]) {
        if self.count() == 0 {
            return;
        }
        let waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        for (_, notify) in touched.iter().filter_map(|key| waiting.get(key)).flatten() {
            notify.notify_one();
        }
    }

    /// Wakes everybody, now and for good: the gateway is stopping.
    pub(crate) fn interrupt(&self) {
        self.interrupted.store(true, Ordering::Release);
        let waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        for (_, notify) in waiting.values().flatten() {
            notify.notify_one();
        }
    }

    /// True once `interrupt` was called.
    pub(crate) fn is_interrupted(&self) -> bool {
        self.interrupted.load(Ordering::Acquire)
    }

    /// How many wait.
    pub(crate) fn count(&self) -> usize {
        self.count.load(Ordering::Relaxed)
    }
}

impl WakeGuard<'_> {
    /// Resolves when one of the partitions has grown since the registration, or since the last call.
    pub(crate) async fn woken(&self) {
        self.notify.notified().await;
    }
}

impl Drop for WakeGuard<'_> {
    fn drop(&mut self) {
        let mut waiting = self.wakers.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        for key in &self.keys {
            if let Some(list) = waiting.get_mut(key) {
                list.retain(|(id, _)| *id != self.id);
                if list.is_empty() {
                    waiting.remove(key);
                }
            }
        }
        drop(waiting);
        self.wakers.count.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use uuid::Uuid;

    fn key(partition: i32) -> PartitionKey {
        PartitionKey { topic_id: Uuid::from_u128(1), partition }
    }

    #[tokio::test]
    async fn wakes_those_who_wait_for_the_partition_and_forgets_them() {
        let wakers = Wakers::default();
        let one = wakers.register(vec![key(1), key(2)]);
        let other = wakers.register(vec![key(3)]);
        wakers.wake(&[key(2)]);
        one.woken().await;
        assert!(futures_util::FutureExt::now_or_never(other.woken()).is_none());
        drop((one, other));
        assert_eq!(wakers.count(), 0);
        assert!(wakers.waiting.lock().unwrap_or_else(PoisonError::into_inner).is_empty());
    }
}
