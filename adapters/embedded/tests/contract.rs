//! The contract suites over the embedded stores and over each decorator.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, missing_docs)]

use std::sync::Arc;

use async_trait::async_trait;
use sluice_embedded::limits::DiskLimits;
use sluice_embedded::{
    DiskConfig, DiskOffsetsView, DiskStores, MemoryLog, MemoryObjectStore, MemoryOffsetsView, open_disk,
};
use sluice_runtime::{OsEntropy, SeededEntropy, SharedClock, SharedEntropy, SystemClock};
use sluice_store::contract::{OffsetsViewFixture, SharedHandle};
use sluice_store::{
    FaultControl, Faults, FaultyLog, FaultyObjectStore, Incarnation, MetadataLog, ObjectStore, OffsetsItem,
    OffsetsView, RetryLog, RetryObjectStore, RetryPolicy, TimeoutLog, TimeoutObjectStore, Timeouts,
    metadata_log_contract, object_store_contract, offsets_view_contract,
};
use tempfile::TempDir;

fn clock() -> SharedClock {
    Arc::new(SystemClock)
}

fn entropy() -> SharedEntropy {
    Arc::new(SeededEntropy::new(1))
}

fn memory_objects() -> Arc<dyn ObjectStore> {
    MemoryObjectStore::new(clock())
}

fn memory_log() -> Arc<dyn MetadataLog> {
    MemoryLog::new(Incarnation(7))
}

/// A memory log that makes bodies as DynamoDB's does.
fn memory_log_with_bodies() -> Arc<dyn MetadataLog> {
    MemoryLog::with_bodies_over(Incarnation(7), 256)
}

fn disk(limits: DiskLimits) -> (DiskStores, TempDir) {
    let dir = tempfile::tempdir().expect("a temporary folder");
    let config = DiskConfig { limits, ..DiskConfig::new(dir.path(), true) };
    (open_disk(config, clock(), Arc::new(OsEntropy)).expect("a new data directory"), dir)
}

struct MemoryView(Arc<MemoryOffsetsView>);

#[async_trait]
impl OffsetsViewFixture for MemoryView {
    async fn handle(&self) -> Arc<dyn OffsetsView> {
        Arc::clone(&self.0) as Arc<dyn OffsetsView>
    }

    async fn read(&self, group: &str, topic: &str, slice: u32) -> Option<OffsetsItem> {
        self.0.snapshot().remove(&(group.to_owned(), topic.to_owned(), slice))
    }
}

struct DiskView {
    view: Arc<DiskOffsetsView>,
    _dir: TempDir,
}

#[async_trait]
impl OffsetsViewFixture for DiskView {
    async fn handle(&self) -> Arc<dyn OffsetsView> {
        Arc::clone(&self.view) as Arc<dyn OffsetsView>
    }

    async fn read(&self, group: &str, topic: &str, slice: u32) -> Option<OffsetsItem> {
        let items = self.view.items().expect("the view is readable");
        items.into_iter().find(|item| (item.group.as_str(), item.topic.as_str(), item.slice) == (group, topic, slice))
    }
}

mod memory {
    use super::*;

    async fn objects() -> SharedHandle<dyn ObjectStore> {
        SharedHandle::new(memory_objects())
    }

    async fn log() -> SharedHandle<dyn MetadataLog> {
        SharedHandle::new(memory_log())
    }

    async fn offsets() -> MemoryView {
        MemoryView(MemoryOffsetsView::new())
    }

    object_store_contract!(objects);
    metadata_log_contract!(log);
    offsets_view_contract!(offsets);
}

mod memory_with_bodies {
    use super::*;

    async fn log() -> SharedHandle<dyn MetadataLog> {
        SharedHandle::new(memory_log_with_bodies())
    }

    metadata_log_contract!(log);
}

mod on_disk {
    use super::*;

    async fn objects() -> SharedHandle<dyn ObjectStore, TempDir> {
        let (stores, dir) = disk(DiskLimits::default());
        SharedHandle::with_guard(stores.objects, dir)
    }

    async fn log() -> SharedHandle<dyn MetadataLog, TempDir> {
        let (stores, dir) = disk(DiskLimits::default());
        SharedHandle::with_guard(stores.log, dir)
    }

    async fn offsets() -> DiskView {
        let (stores, dir) = disk(DiskLimits::default());
        DiskView { view: stores.offsets, _dir: dir }
    }

    object_store_contract!(objects);
    metadata_log_contract!(log);
    offsets_view_contract!(offsets);
}

/// Every tail that is not the newest elements comes from the table, and every bound is met.
mod on_disk_with_tiny_limits {
    use super::*;

    const TINY: DiskLimits = DiskLimits {
        recent_bytes_max: 1_000,
        queued_appends_max: 2,
        group_appends_max: 3,
        group_bytes_max: 500,
        log_cache_bytes: 64 * 1024,
        io_threads_max: 8,
        known_folders_max: 2,
    };

    async fn objects() -> SharedHandle<dyn ObjectStore, TempDir> {
        let (stores, dir) = disk(TINY);
        SharedHandle::with_guard(stores.objects, dir)
    }

    async fn log() -> SharedHandle<dyn MetadataLog, TempDir> {
        let (stores, dir) = disk(TINY);
        SharedHandle::with_guard(stores.log, dir)
    }

    object_store_contract!(objects);
    metadata_log_contract!(log);
}

mod retry {
    use super::*;

    async fn objects() -> SharedHandle<dyn ObjectStore> {
        let store = RetryObjectStore::new(memory_objects(), RetryPolicy::default(), entropy());
        SharedHandle::new(Arc::new(store))
    }

    async fn log() -> SharedHandle<dyn MetadataLog> {
        let log = RetryLog::new(memory_log_with_bodies(), RetryPolicy::default(), entropy());
        SharedHandle::new(Arc::new(log))
    }

    object_store_contract!(objects);
    metadata_log_contract!(log);
}

mod timeout {
    use super::*;

    async fn objects() -> SharedHandle<dyn ObjectStore> {
        SharedHandle::new(Arc::new(TimeoutObjectStore::new(memory_objects(), Timeouts::OBJECTS)))
    }

    async fn log() -> SharedHandle<dyn MetadataLog> {
        SharedHandle::new(Arc::new(TimeoutLog::new(memory_log_with_bodies(), Timeouts::LOG)))
    }

    object_store_contract!(objects);
    metadata_log_contract!(log);
}

mod faulty_without_faults {
    use super::*;

    async fn objects() -> SharedHandle<dyn ObjectStore> {
        let control = FaultControl::new(Faults::default(), entropy());
        SharedHandle::new(Arc::new(FaultyObjectStore::new(memory_objects(), control)))
    }

    async fn log() -> SharedHandle<dyn MetadataLog> {
        let control = FaultControl::new(Faults::default(), entropy());
        SharedHandle::new(Arc::new(FaultyLog::new(memory_log_with_bodies(), control)))
    }

    object_store_contract!(objects);
    metadata_log_contract!(log);
}
