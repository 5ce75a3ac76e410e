//! The contract suite refuses stores that break it: one planted defect for each of the promises that matter most.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, missing_docs)]

use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use bytes::Bytes;
use sluice_embedded::{MemoryLog, MemoryObjectStore};
use sluice_runtime::SystemClock;
use sluice_store::contract::{SharedHandle, log, objects};
use sluice_store::{
    Appended, BodyRef, ByteChunks, ByteRange, ClockReading, Consistency, Element, Incarnation, LogCapabilities,
    LogPosition, MetadataLog, ObjectInfo, ObjectKey, ObjectStore, PutOptions, Sealed, Staged, StoreCapabilities,
    StoreClock, StoreError, StoreErrorKind, StoreResult, Tail, TailRead, metadata_log_contract, object_store_contract,
};
use tokio::time::Instant;

/// What is wrong with a store.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Defect {
    None,
    ReplacesOnCreate,
    TrustsChecksums,
    KeepsRefusedBytes,
    IgnoresRanges,
    IgnoresLimit,
    ListsByName,
    ShowsFirstThousand,
    ForgetsToDelete,
    HasNoTime,
    HasOldTime,
    DropsLastOfTail,
    TailOnlyOwn,
    Dedupes,
    SplitsAppends,
    ReadsNothingNew,
    HidesRollback,
    SkipsAnOldElement,
    TakesAnySize,
    IgnoresTheHash,
}

#[derive(Debug)]
struct Broken {
    defect: Defect,
    objects: Arc<MemoryObjectStore>,
    log: Arc<MemoryLog>,
    appended: Mutex<Vec<Element>>,
    /// The clocks when the store was opened.
    opened: ClockReading,
}

impl Broken {
    fn new(defect: Defect) -> Arc<Self> {
        let clock = Arc::new(SystemClock);
        let trusts = matches!(defect, Defect::TrustsChecksums | Defect::KeepsRefusedBytes);
        let objects = if trusts { MemoryObjectStore::trusting(clock) } else { MemoryObjectStore::new(clock) };
        let log = MemoryLog::with_bodies_over(Incarnation(1), 256);
        let opened = ClockReading { store_ms: 0, wall_ms: 0, at: Instant::now() };
        Arc::new(Self { defect, objects, log, appended: Mutex::default(), opened })
    }

    fn is(&self, defect: Defect) -> bool {
        self.defect == defect
    }
}

#[async_trait]
impl ObjectStore for Broken {
    async fn put(&self, key: &ObjectKey, bytes: ByteChunks, options: PutOptions) -> StoreResult<()> {
        let create_only = options.create_only && !self.is(Defect::ReplacesOnCreate);
        let wrong = options.crc32c.is_some_and(|crc| crc != bytes.crc32c());
        self.objects.put(key, bytes, PutOptions { create_only, ..options }).await?;
        if wrong && self.is(Defect::KeepsRefusedBytes) {
            return Err(StoreError::new(StoreErrorKind::Corrupt, "told, but kept"));
        }
        Ok(())
    }

    async fn get(&self, key: &ObjectKey, range: ByteRange) -> StoreResult<ByteChunks> {
        let range = if self.is(Defect::IgnoresRanges) { ByteRange::Full } else { range };
        self.objects.get(key, range).await
    }

    async fn head(&self, key: &ObjectKey) -> StoreResult<ObjectInfo> {
        self.objects.head(key).await
    }

    async fn list(&self, prefix: &str, start_after: Option<&ObjectKey>, limit: usize) -> StoreResult<Vec<ObjectInfo>> {
        let limit = match self.defect {
            Defect::IgnoresLimit => usize::MAX,
            Defect::ShowsFirstThousand => limit.min(1_000),
            _ => limit,
        };
        let mut listed = self.objects.list(prefix, start_after, limit).await?;
        if self.is(Defect::ListsByName) {
            // A walk over folders, which sorts "a/x" before "a-b/x".
            listed.sort_by_key(|info| info.key.as_str().split('/').map(str::to_owned).collect::<Vec<_>>());
        }
        Ok(listed)
    }

    async fn delete(&self, keys: &[ObjectKey]) -> Vec<StoreResult<()>> {
        let some = if self.is(Defect::ForgetsToDelete) { &keys[..keys.len().min(1_000)] } else { keys };
        drop(self.objects.delete(some).await);
        keys.iter().map(|_| Ok(())).collect()
    }

    fn capabilities(&self) -> StoreCapabilities {
        self.objects.capabilities()
    }

    fn clock(&self) -> StoreClock {
        match self.defect {
            Defect::HasNoTime => StoreClock::Unmeasured,
            Defect::HasOldTime => StoreClock::Measured(self.opened),
            _ => self.objects.clock(),
        }
    }
}

#[async_trait]
impl MetadataLog for Broken {
    fn incarnation(&self) -> Incarnation {
        self.log.incarnation()
    }

    async fn stage(&self, entry: &Sealed) -> StoreResult<Staged> {
        let entry_bytes_max = self.log.capabilities().entry_bytes_max;
        if self.is(Defect::TakesAnySize) && entry.bytes.len() > entry_bytes_max {
            return self.log.stage(&Sealed { bytes: Bytes::new(), ..entry.clone() }).await;
        }
        self.log.stage(entry).await
    }

    async fn append(&self, entries: &[Staged], known: LogPosition) -> StoreResult<Appended> {
        let mut entries = entries.to_vec();
        if self.is(Defect::Dedupes) {
            let mut appended = self.appended.lock().unwrap();
            entries.retain(|staged| !appended.contains(&staged.element));
            entries.dedup();
            appended.extend(entries.iter().map(|staged| staged.element.clone()));
        }
        if self.is(Defect::SplitsAppends) {
            for staged in &entries[..entries.len() - 1] {
                self.log.append(std::slice::from_ref(staged), LogPosition::ZERO).await?;
                tokio::task::yield_now().await;
            }
            entries.drain(..entries.len() - 1);
        }
        let count = entries.len();
        match self.log.append(&entries, known).await? {
            Appended::Tail(mut tail) if self.is(Defect::DropsLastOfTail) => {
                tail.elements.pop();
                Ok(Appended::Tail(tail))
            }
            Appended::Tail(tail) if self.is(Defect::TailOnlyOwn) => {
                let elements = tail.elements[tail.elements.len() - count..].to_vec();
                let first = LogPosition(tail.end().0 - count as u64);
                Ok(Appended::Tail(Tail { first, elements }))
            }
            appended => Ok(appended),
        }
    }

    async fn read(&self, known: LogPosition, consistency: Consistency) -> StoreResult<TailRead> {
        let nothing = TailRead::Tail(Tail { first: known.next(), elements: Vec::new() });
        if self.is(Defect::ReadsNothingNew) && known > LogPosition::ZERO {
            return Ok(nothing);
        }
        let read = self.log.read(known, consistency).await;
        match read {
            Err(_) if self.is(Defect::HidesRollback) => Ok(nothing),
            Ok(TailRead::Tail(mut tail)) if self.is(Defect::SkipsAnOldElement) && tail.elements.len() > 300 => {
                tail.elements.remove(256);
                Ok(TailRead::Tail(tail))
            }
            read => read,
        }
    }

    async fn read_body(&self, body: &BodyRef) -> StoreResult<Bytes> {
        if self.is(Defect::IgnoresTheHash) && body.parts == 1 {
            return Ok(Bytes::from(vec![0; usize::try_from(body.len).unwrap()]));
        }
        self.log.read_body(body).await
    }

    fn capabilities(&self) -> LogCapabilities {
        self.log.capabilities()
    }
}

/// Without a defect the same store keeps the contract: what panics below is the defect's doing.
mod sound {
    use super::*;

    async fn objects() -> SharedHandle<dyn ObjectStore> {
        SharedHandle::new(Broken::new(Defect::None))
    }

    async fn log() -> SharedHandle<dyn MetadataLog> {
        SharedHandle::new(Broken::new(Defect::None))
    }

    object_store_contract!(objects);
    metadata_log_contract!(log);
}

/// A promise over a store with a defect; it must panic.
macro_rules! bites {
    ($($test:ident: $promise:path, $seam:ident, $defect:ident;)+) => {
        $(
            #[tokio::test]
            #[should_panic]
            async fn $test() {
                let store: Arc<dyn $seam> = Broken::new(Defect::$defect);
                $promise(&SharedHandle::new(store)).await;
            }
        )+
    };
}

bites! {
    a_create_that_replaces: objects::create_only_leaves_the_object_there_as_it_is, ObjectStore, ReplacesOnCreate;
    creators_that_all_win: objects::one_of_many_concurrent_creators_wins, ObjectStore, ReplacesOnCreate;
    an_unchecked_checksum:
        objects::a_wrong_checksum_is_corrupt_and_nothing_is_visible, ObjectStore, TrustsChecksums;
    refused_bytes_that_are_visible:
        objects::a_wrong_checksum_is_corrupt_and_nothing_is_visible, ObjectStore, KeepsRefusedBytes;
    ranges_that_are_ignored: objects::ranges_are_full_bounded_or_suffix, ObjectStore, IgnoresRanges;
    a_start_past_the_end_that_is_read:
        objects::a_bounded_range_is_cut_at_the_end_and_invalid_past_it, ObjectStore, IgnoresRanges;
    a_limit_that_is_ignored: objects::a_listing_keeps_to_prefix_start_and_limit, ObjectStore, IgnoresLimit;
    a_listing_by_folders: objects::a_listing_is_in_key_order, ObjectStore, ListsByName;
    a_listing_of_one_page: objects::more_than_a_thousand_objects_are_listed_and_deleted, ObjectStore, ShowsFirstThousand;
    a_delete_of_one_request: objects::more_than_a_thousand_objects_are_listed_and_deleted, ObjectStore, ForgetsToDelete;
    a_clock_without_a_time: objects::the_clock_is_exempt_or_read_off_the_last_answer, ObjectStore, HasNoTime;
    a_clock_of_an_earlier_answer: objects::the_clock_is_exempt_or_read_off_the_last_answer, ObjectStore, HasOldTime;
    a_tail_without_its_end:
        log::an_append_is_answered_with_all_after_known_its_own_elements_last, MetadataLog, DropsLastOfTail;
    a_tail_of_only_its_own:
        log::an_append_is_answered_with_all_after_known_its_own_elements_last, MetadataLog, TailOnlyOwn;
    a_log_that_dedupes: log::the_same_element_appended_twice_is_there_twice, MetadataLog, Dedupes;
    an_append_in_pieces: log::the_elements_of_an_append_stay_together_in_their_order, MetadataLog, SplitsAppends;
    a_strong_read_that_lags: log::a_strong_read_sees_every_answered_append, MetadataLog, ReadsNothingNew;
    a_rollback_that_is_hidden: log::a_read_past_the_end_is_corrupt, MetadataLog, HidesRollback;
    a_gap_between_chunks: log::a_reader_far_behind_gets_a_contiguous_tail, MetadataLog, SkipsAnOldElement;
    an_entry_of_any_size: log::an_entry_over_the_limit_is_too_large, MetadataLog, TakesAnySize;
    bytes_that_do_not_fit_their_pointer: log::a_damaged_pointer_is_an_error, MetadataLog, IgnoresTheHash;
    bodies_of_other_bytes: log::entries_of_every_size_come_back_as_the_same_bytes, MetadataLog, IgnoresTheHash;
}
