//! One request of each kind to the disk stores, and what is known after each.

use std::collections::BTreeMap;
use std::sync::Arc;

use sluice_embedded::{DiskConfig, DiskStores, open_disk_over};
use sluice_powercut::disk::Disk;
use sluice_powercut::payload::{number, payload};
use sluice_powercut::run::DIR;
use sluice_powercut::survival::Survival;
use sluice_runtime::{SeededEntropy, SystemClock};
use sluice_store::{
    ByteRange, Consistency, Incarnation, LogPosition, MetadataLog, ObjectKey, ObjectStore, OffsetsItem, OffsetsView,
    Payload, PutOptions, Sealed, StoreErrorKind, StoreResult, TailRead,
};
use uuid::Uuid;

const CREATE: PutOptions = PutOptions { create_only: true, crc32c: None };

pub fn try_open(disk: &Disk) -> StoreResult<DiskStores> {
    let mut config = DiskConfig::new(DIR, true);
    // So that tails are read from the database.
    config.limits.recent_bytes_max = 0;
    open_disk_over(config, Arc::new(SystemClock), Arc::new(SeededEntropy::new(1)), Arc::new(disk.clone()))
}

pub fn open(disk: &Disk) -> DiskStores {
    try_open(disk).unwrap()
}

fn key(name: &str) -> ObjectKey {
    ObjectKey::new(name).unwrap()
}

/// One request of each kind that writes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Request {
    /// Into a folder that is not there yet.
    Put(u64),
    Append(u64, usize),
    Delete(u64),
    Show(u64),
}

pub const REQUESTS: [Request; 7] = [
    Request::Put(101),
    Request::Append(1, 50),
    Request::Show(1),
    Request::Append(2, 60_000),
    Request::Put(102),
    Request::Delete(101),
    Request::Append(3, 5_000),
];

/// What was acknowledged: objects by name, entries in order, the position in the view; and what may have happened.
#[derive(Debug, Clone, Default)]
pub struct Known {
    pub objects: BTreeMap<String, Option<u64>>,
    pub entries: Vec<u64>,
    pub shown: u64,
    maybe_entries: Vec<u64>,
    maybe_objects: Vec<String>,
}

impl Known {
    /// The request was made: its effect may be there.
    pub fn maybe(&mut self, request: Request) {
        match request {
            Request::Put(id) | Request::Delete(id) => self.maybe_objects.push(name_of(id)),
            Request::Append(sequence, _) => self.maybe_entries.push(sequence),
            Request::Show(_) => {}
        }
    }

    /// The request was answered.
    pub fn certain(&mut self, request: Request) {
        match request {
            Request::Put(id) | Request::Delete(id) => self.maybe_objects.retain(|name| *name != name_of(id)),
            Request::Append(..) => self.maybe_entries.clear(),
            Request::Show(_) => {}
        }
    }
}

fn name_of(id: u64) -> String {
    format!("folder-{id}/{id}")
}

fn item(position: u64) -> OffsetsItem {
    OffsetsItem {
        incarnation: Incarnation(1),
        group: "g".into(),
        topic: "t".into(),
        topic_id: Uuid::from_u128(1),
        slice: 0,
        position: LogPosition(position),
        updated_at_ms: 0,
        offsets: BTreeMap::new(),
    }
}

pub async fn ask(stores: &DiskStores, request: Request, known: &mut Known) -> StoreResult<()> {
    let answer = match request {
        Request::Put(id) => stores.objects.put(&key(&name_of(id)), payload(id, 3_000).into(), CREATE).await,
        Request::Delete(id) => stores.objects.delete(&[key(&name_of(id))]).await.remove(0),
        Request::Show(position) => stores.offsets.put(vec![item(position)]).await.remove(0),
        Request::Append(sequence, len) => {
            let sealed = Sealed { session: 1, sequence, bytes: payload(sequence, len) };
            let staged = stores.log.stage(&sealed).await.unwrap();
            stores.log.append(&[staged], LogPosition::ZERO).await.map(|_| ())
        }
    };
    let is_unknown = answer.as_ref().is_err_and(|error| error.kind() == StoreErrorKind::Unknown);
    match request {
        Request::Put(id) if answer.is_ok() => drop(known.objects.insert(name_of(id), Some(id))),
        Request::Delete(id) if answer.is_ok() => drop(known.objects.insert(name_of(id), None)),
        Request::Put(id) | Request::Delete(id) if is_unknown => known.maybe_objects.push(name_of(id)),
        Request::Append(sequence, _) if answer.is_ok() => known.entries.push(sequence),
        Request::Append(sequence, _) if is_unknown => known.maybe_entries.push(sequence),
        Request::Show(position) if answer.is_ok() => known.shown = position,
        _ => {}
    }
    answer
}

/// Everything that was acknowledged is there, and nothing that certainly did not happen.
pub async fn check(stores: &DiskStores, known: &Known, when: &str) {
    for (name, wanted) in known.objects.iter().filter(|(name, _)| !known.maybe_objects.contains(name)) {
        let got = stores.objects.get(&key(name), ByteRange::Full).await;
        let got = match got {
            Ok(bytes) => Some(number(&bytes.to_bytes()).unwrap_or_else(|| panic!("{when}: {name} is torn"))),
            Err(error) if error.kind() == StoreErrorKind::NotFound => None,
            Err(error) => panic!("{when}: {name}: {error}"),
        };
        assert_eq!(got, *wanted, "{when}: {name}");
    }
    let tail = match stores.log.read(LogPosition::ZERO, Consistency::Strong).await {
        Ok(TailRead::Tail(tail)) => tail,
        other => panic!("{when}: {other:?}"),
    };
    let mut acknowledged = known.entries.iter().peekable();
    for element in &tail.elements {
        let Payload::Inline(bytes) = &element.payload else { panic!("{when}: a body") };
        assert_eq!(number(bytes), Some(element.sequence), "{when}: an entry is torn");
        let is_acknowledged = acknowledged.next_if_eq(&&element.sequence).is_some();
        assert!(
            is_acknowledged || known.maybe_entries.contains(&element.sequence),
            "{when}: entry {} did not happen, and is there",
            element.sequence
        );
    }
    assert_eq!(acknowledged.next(), None, "{when}: an acknowledged entry is gone");
    let shown = stores.offsets.items().unwrap().first().map_or(0, |item| item.position.0);
    assert!(shown >= known.shown, "{when}: the view has {shown}, and {} was acknowledged", known.shown);
}

/// Opened, with something of everything in it.
pub async fn filled(known: &mut Known) -> (Disk, DiskStores) {
    let disk = Disk::default();
    let stores = open(&disk);
    for request in [Request::Put(90), Request::Append(91, 100), Request::Show(1)] {
        ask(&stores, request, known).await.unwrap();
    }
    (disk, stores)
}

/// The disk after a loss of power in which nothing survived that need not.
pub fn cut(disk: &Disk) -> Disk {
    Disk::of(disk.machine().after_power_cut(&mut Survival::nothing()))
}
