//! The offsets view: what survives, and what becomes of it when the disk fails.

use std::collections::BTreeMap;
use std::sync::atomic::Ordering;

use redb::ReadableDatabase;
use sluice_store::{Incarnation, OffsetsEntry, OffsetsItem, OffsetsView};
use uuid::Uuid;

use super::layer::{Trial, TrialFiles};
use super::*;

fn item(group: &str, position: u64) -> OffsetsItem {
    let entry = OffsetsEntry { offset: 7, leader_epoch: 0, metadata: "m".into(), committed_at_ms: 1 };
    OffsetsItem {
        incarnation: Incarnation(1),
        group: group.into(),
        topic: "t".into(),
        topic_id: Uuid::from_u128(2),
        slice: 0,
        position: LogPosition(position),
        updated_at_ms: 3,
        offsets: BTreeMap::from([(5, entry)]),
    }
}

async fn put_offsets(stores: &DiskStores, items: Vec<OffsetsItem>) -> Vec<Option<StoreErrorKind>> {
    stores.offsets.put(items).await.into_iter().map(|result| result.err().map(|error| error.kind())).collect()
}

#[tokio::test]
async fn offsets_are_there_when_the_directory_is_opened_again() {
    let dir = tempfile::tempdir().unwrap();
    let stores = make(dir.path()).unwrap();
    append(&stores.log, 1).await.unwrap();
    assert_eq!(put_offsets(&stores, vec![item("b", 2), item("a", 9)]).await, [None, None]);
    drop(stores);
    let stores = open(dir.path()).unwrap();
    assert_eq!(stores.offsets.items().unwrap(), [item("a", 9), item("b", 2)], "in the order of groups");
    assert_eq!(put_offsets(&stores, vec![item("a", 8)]).await, [None], "and the rule of positions holds on");
    assert_eq!(stores.offsets.items().unwrap()[0], item("a", 9));
    assert_eq!(sequences(&stores.log).await, [1], "the log beside it is as it was");
}

/// A directory of the version before has no such table until the first put.
#[tokio::test]
async fn a_directory_without_the_table_shows_nothing_and_takes_offsets() {
    let dir = tempfile::tempdir().unwrap();
    let stores = make(dir.path()).unwrap();
    assert_eq!(stores.offsets.items().unwrap(), []);
    assert_eq!(put_offsets(&stores, vec![item("", 1)]).await, [Some(StoreErrorKind::Invalid)]);
    let tables = |stores: &DiskStores| {
        stores.offsets.database().read(|database| Ok(database.begin_read()?.list_tables()?.count())).unwrap()
    };
    assert_eq!(tables(&stores), 2, "nothing to show makes no table");
    assert_eq!(put_offsets(&stores, vec![item("a", 1)]).await, [None]);
    assert_eq!(stores.offsets.items().unwrap(), [item("a", 1)]);
}

/// I-11: nobody knows what became of a commit whose sync failed, and nothing more is written.
#[tokio::test]
async fn after_a_failed_sync_of_the_view_writes_are_refused() {
    let dir = tempfile::tempdir().unwrap();
    let trial = Trial::new(dir.path());
    let files = Arc::new(TrialFiles(Arc::clone(&trial)));
    let stores = open_disk_over(DiskConfig::new(dir.path(), true), clock(), entropy(), files).unwrap();
    assert_eq!(put_offsets(&stores, vec![item("a", 1)]).await, [None]);
    trial.fails_database_syncs.store(true, Ordering::Relaxed);
    let kinds = put_offsets(&stores, vec![item("a", 2), item("", 2), item("b", 2)]).await;
    let (unknown, invalid) = (Some(StoreErrorKind::Unknown), Some(StoreErrorKind::Invalid));
    assert_eq!(kinds, [unknown, invalid, unknown], "what is invalid is so whatever the disk does");
    trial.fails_database_syncs.store(false, Ordering::Relaxed);
    assert_eq!(put_offsets(&stores, vec![item("a", 3)]).await, [Some(StoreErrorKind::Unavailable)]);
    assert_eq!(append(&stores.log, 1).await.unwrap_err().kind(), StoreErrorKind::Unavailable, "nor the log");
    drop(stores);
    let stores = open(dir.path()).unwrap();
    assert_eq!(put_offsets(&stores, vec![item("a", 3)]).await, [None]);
    assert_eq!(stores.offsets.items().unwrap()[0], item("a", 3));
}
