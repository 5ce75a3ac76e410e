//! The offsets view on a disk: a redb table beside the log's.
//!
//! Promises: a put that was answered survives kill −9 and a loss of power, as an append does; a failed sync closes the
//! directory's gate for both.
//! Never: writes a part of a call; lets a damaged item stand in the way of a new one.
//! Called by `engine` through `OffsetsView`; the replicas of one process share it by its `Arc`.

use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use redb::{Durability, ReadableDatabase, ReadableTable, TableDefinition};
use sluice_store::{OffsetsItem, OffsetsView, StoreError, StoreErrorKind, StoreResult};

use super::blocking::BlockingIo;
use super::gate::WriteGate;
use super::log::{LockedDatabase, read_error};
use super::offsets_item::{decode, encode, place};

/// (Group, topic, slice) → item.
const OFFSETS: TableDefinition<'static, (&'static str, &'static str, u32), &'static [u8]> =
    TableDefinition::new("offsets");

/// An offsets view in the data directory's `log.redb`.
pub struct DiskOffsetsView {
    database: Arc<LockedDatabase>,
    gate: Arc<WriteGate>,
    io: BlockingIo,
}

impl DiskOffsetsView {
    /// The view of the directory whose log is in this database.
    pub(super) fn new(database: Arc<LockedDatabase>, gate: Arc<WriteGate>) -> Self {
        // One at a time: the database has one writer anyway, and a second thread would only wait for it.
        Self { database, gate, io: BlockingIo::new(1) }
    }

    #[cfg(test)]
    pub(super) fn database(&self) -> &LockedDatabase {
        &self.database
    }

    /// What it shows, in the order of groups, topics and slices: for tests and for people, never for a gateway. Blocks.
    ///
    /// # Errors
    /// `Corrupt` for an item that is not what was written; `Unavailable` when the disk fails.
    pub fn items(&self) -> StoreResult<Vec<OffsetsItem>> {
        let failed = |error: redb::Error| read_error("read the offsets view", error);
        let transaction = self.database.begin_read().map_err(|error| failed(error.into()))?;
        let table = match transaction.open_table(OFFSETS) {
            // Made by the first put.
            Err(redb::TableError::TableDoesNotExist(_)) => return Ok(Vec::new()),
            table => table.map_err(|error| failed(error.into()))?,
        };
        let mut items = Vec::new();
        for row in table.iter().map_err(|error| failed(error.into()))? {
            let (key, value) = row.map_err(|error| failed(error.into()))?;
            items.push(decode(key.value(), value.value()).ok_or_else(|| {
                let (group, topic, slice) = key.value();
                let message = format!("read the offsets view: group {group:?}, topic `{topic}`, slice {slice}");
                StoreError::new(StoreErrorKind::Corrupt, message)
            })?);
        }
        Ok(items)
    }
}

impl fmt::Debug for DiskOffsetsView {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DiskOffsetsView").finish_non_exhaustive()
    }
}

#[async_trait]
impl OffsetsView for DiskOffsetsView {
    async fn put(&self, items: Vec<OffsetsItem>) -> Vec<StoreResult<()>> {
        let checked: Vec<_> = items.iter().map(OffsetsItem::check).collect();
        let legal: Vec<_> =
            items.into_iter().zip(&checked).filter_map(|(item, legal)| legal.is_ok().then_some(item)).collect();
        let (database, gate) = (Arc::clone(&self.database), Arc::clone(&self.gate));
        let written = self.io.run(StoreErrorKind::Unknown, move || write(&database, &gate, &legal)).await;
        // One transaction: what became of it became of every item in it.
        let failure = written.and_then(|written| written).err().map(|error| (error.kind(), error.to_string()));
        let outcome = |legal: StoreResult<()>| match (&failure, legal) {
            (Some((kind, reason)), Ok(())) => Err(StoreError::new(*kind, reason.clone())),
            (_, legal) => legal,
        };
        checked.into_iter().map(outcome).collect()
    }
}

/// Puts the items of one call in one transaction and one fsync.
fn write(database: &LockedDatabase, gate: &WriteGate, items: &[OffsetsItem]) -> StoreResult<()> {
    if items.is_empty() {
        return Ok(());
    }
    gate.check(|| "put offsets into the view".to_owned())?;
    let failed = |kind, error: redb::Error| {
        gate.close(format!("the offsets view could not be written ({error})"));
        StoreError::new(kind, "put offsets into the view").with_source(error)
    };
    let not_written = |error: redb::Error| failed(StoreErrorKind::Unavailable, error);
    let mut transaction = database.begin_write().map_err(|error| not_written(error.into()))?;
    transaction.set_durability(Durability::Immediate).map_err(|error| not_written(error.into()))?;
    {
        let mut table = transaction.open_table(OFFSETS).map_err(|error| not_written(error.into()))?;
        for item in items {
            let key = (item.group.as_str(), item.topic.as_str(), item.slice);
            let there = table.get(key).map_err(|error| not_written(error.into()))?;
            let there = there.and_then(|value| place(value.value()));
            if there.is_none_or(|(incarnation, position)| item.replaces(incarnation, position)) {
                table.insert(key, encode(item).as_slice()).map_err(|error| not_written(error.into()))?;
            }
        }
    }
    // I-11: a commit that failed may have reached the disk.
    transaction.commit().map_err(|error| failed(StoreErrorKind::Unknown, error.into()))
}
