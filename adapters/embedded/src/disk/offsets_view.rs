//! The offsets view on a disk: a redb table beside the log's.
//!
//! Promises: a put that was answered survives kill −9 and a loss of power, as an append does; a failed sync closes the
//! directory's gate for both.
//! Never: writes a part of a call; lets a damaged item stand in the way of a new one.
//! Called by `engine` through `OffsetsView`; the replicas of one process share it by its `Arc`.

use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use redb::{ReadableDatabase, ReadableTable, TableDefinition};
use sluice_store::{OffsetsItem, OffsetsView, StoreError, StoreErrorKind, StoreResult};

use super::blocking::BlockingIo;
use super::database::{LogDatabase, WriteFailure};
use super::gate::WriteGate;
use super::log::read_error;
use super::offsets_item::{decode, encode, place};

/// (Group, topic, slice) → item.
const OFFSETS: TableDefinition<'static, (&'static str, &'static str, u32), &'static [u8]> =
    TableDefinition::new("offsets");

/// An offsets view in the data directory's `log.redb`.
pub struct DiskOffsetsView {
    database: Arc<LogDatabase>,
    gate: Arc<WriteGate>,
    io: BlockingIo,
}

impl DiskOffsetsView {
    /// The view of the directory whose log is in this database.
    pub(super) fn new(database: Arc<LogDatabase>, gate: Arc<WriteGate>) -> Self {
        // One at a time: the database has one writer anyway, and a second thread would only wait for it.
        Self { database, gate, io: BlockingIo::new(1) }
    }

    #[cfg(test)]
    pub(super) fn database(&self) -> &LogDatabase {
        &self.database
    }

    /// What it shows, in the order of groups, topics and slices: for tests and for people, never for a gateway. Blocks.
    ///
    /// # Errors
    /// `Corrupt` for an item that is not what was written; `Unavailable` when the disk fails.
    pub fn items(&self) -> StoreResult<Vec<OffsetsItem>> {
        let read = self.database.read(|database| {
            let table = match database.begin_read()?.open_table(OFFSETS) {
                // Made by the first put.
                Err(redb::TableError::TableDoesNotExist(_)) => return Ok(Ok(Vec::new())),
                table => table?,
            };
            let mut items = Vec::new();
            for row in table.iter()? {
                let (key, value) = row?;
                match decode(key.value(), value.value()) {
                    Some(item) => items.push(item),
                    None => return Ok(Err(damaged(key.value()))),
                }
            }
            Ok(Ok(items))
        });
        read.map_err(|error| read_error("read the offsets view", error))?
    }
}

fn damaged((group, topic, slice): (&str, &str, u32)) -> StoreError {
    let message = format!("read the offsets view: group {group:?}, topic `{topic}`, slice {slice}");
    StoreError::new(StoreErrorKind::Corrupt, message)
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
fn write(database: &LogDatabase, gate: &WriteGate, items: &[OffsetsItem]) -> StoreResult<()> {
    if items.is_empty() {
        return Ok(());
    }
    gate.check(|| "put offsets into the view".to_owned())?;
    let written = database.write(|transaction| {
        let mut table = transaction.open_table(OFFSETS)?;
        for item in items {
            let key = (item.group.as_str(), item.topic.as_str(), item.slice);
            let there = table.get(key)?.and_then(|value| place(value.value()));
            if there.is_none_or(|(incarnation, position)| item.replaces(incarnation, position)) {
                table.insert(key, encode(item).as_slice())?;
            }
        }
        Ok(())
    });
    written.map_err(|WriteFailure { is_full, may_have_happened, reason }| {
        if !is_full {
            gate.close(format!("the offsets view could not be written ({reason})"));
        }
        // I-11: a commit that failed may have reached the disk.
        let kind = if may_have_happened { StoreErrorKind::Unknown } else { StoreErrorKind::Unavailable };
        StoreError::new(kind, format!("put offsets into the view: {reason}"))
    })
}
