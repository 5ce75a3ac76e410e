//! Tests of the data directory: opening, reopening, failing syncs, and the order of what reaches the disk.

mod layer;
mod offsets_view;
mod opening;
mod writes;

use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;
use sluice_runtime::{SeededEntropy, SharedClock, SharedEntropy, TokioClock};
use sluice_store::{
    Appended, ByteChunks, ByteRange, Consistency, LogPosition, MetadataLog, ObjectKey, ObjectStore, PutOptions, Sealed,
    Staged, StoreError, StoreErrorKind, StoreResult, Tail, TailRead,
};

use super::*;

const CREATE: PutOptions = PutOptions { create_only: true, crc32c: None };

fn clock() -> SharedClock {
    Arc::new(TokioClock::starting_at(1_700_000_000_000))
}

fn entropy() -> SharedEntropy {
    Arc::new(SeededEntropy::new(1))
}

fn open(dir: &Path) -> StoreResult<DiskStores> {
    open_disk(DiskConfig::new(dir, false), clock(), entropy())
}

fn make(dir: &Path) -> StoreResult<DiskStores> {
    open_disk(DiskConfig::new(dir, true), clock(), entropy())
}

fn key(text: &str) -> ObjectKey {
    ObjectKey::new(text).unwrap()
}

fn text(text: &'static str) -> ByteChunks {
    Bytes::from_static(text.as_bytes()).into()
}

async fn put(stores: &DiskStores, name: &str, bytes: &'static str) -> Result<(), StoreErrorKind> {
    stores.objects.put(&key(name), text(bytes), CREATE).await.map_err(|error| error.kind())
}

async fn get(stores: &DiskStores, name: &str) -> Result<Bytes, StoreErrorKind> {
    let got = stores.objects.get(&key(name), ByteRange::Full).await;
    got.map(|bytes| bytes.to_bytes()).map_err(|error| error.kind())
}

async fn staged(log: &DiskLog, sequence: u64) -> Staged {
    log.stage(&Sealed { session: 1, sequence, bytes: Bytes::from(format!("entry {sequence}")) }).await.unwrap()
}

async fn append(log: &DiskLog, sequence: u64) -> StoreResult<Tail> {
    let staged = staged(log, sequence).await;
    match log.append(&[staged], LogPosition::ZERO).await? {
        Appended::Tail(tail) => Ok(tail),
        Appended::CommittedTailUnread => panic!("the tail of append {sequence} was not read"),
    }
}

/// The sequences in the log, in order.
async fn sequences(log: &DiskLog) -> Vec<u64> {
    match log.read(LogPosition::ZERO, Consistency::Strong).await.unwrap() {
        TailRead::Tail(tail) => tail.elements.iter().map(|element| element.sequence).collect(),
        TailRead::Trimmed => panic!("nothing was trimmed"),
    }
}

/// The message of an error: one line, with what is wanted in it.
fn assert_says(error: &StoreError, kind: StoreErrorKind, wanted: &str) {
    let message = error.to_string();
    assert_eq!(error.kind(), kind, "{message}");
    assert!(message.contains(wanted) && !message.contains('\n'), "{message:?} must say {wanted:?} in one line");
}
