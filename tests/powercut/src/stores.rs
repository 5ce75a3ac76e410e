//! The disk stores without a gateway: puts, replacements, deletions, contests for a key, appends in groups, the offsets view.
//!
//! Promises, of every restart: the store opens; the log is contiguous from its first position, every element is an entry
//! that was appended, once, with its bytes, and what was acknowledged or read before is at its position; a key has one of
//! the objects that may be there, whole, and after an acknowledgement no other; no key is listed that may not be there; the
//! offsets view has what was acknowledged, or newer.
//! Called by [`crate::run`].

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use futures_util::future::{BoxFuture, FutureExt, join_all};
use sluice_embedded::DiskStores;
use sluice_runtime::{SeededEntropy, SharedClock, SharedEntropy, SystemClock};
use sluice_store::{
    ByteRange, Consistency, Element, Incarnation, LogPosition, MetadataLog, ObjectKey, ObjectStore, OffsetsEntry,
    OffsetsItem, OffsetsView, Payload, PutOptions, Sealed, StoreErrorKind, TailRead,
};
use uuid::Uuid;

use crate::disk::Disk;
use crate::ledger::{Checked, Ledger};
use crate::payload::{draw_len, number, payload};
use crate::run::{Life, Violation, open};
use crate::told::Told;

const SESSION: u64 = 7;
const GROUPS: u8 = 3;
/// More than any test puts.
const LISTED_MAX: usize = 100_000;

/// Opens the stores, compares what they have with what is known, and uses them.
///
/// # Errors
/// What is not as it was promised.
pub async fn live(life: &mut Life<'_>) -> Result<Checked, Violation> {
    let clock: SharedClock = Arc::new(SystemClock);
    let entropy: SharedEntropy = Arc::new(SeededEntropy::new(life.rng.u64(..)));
    let stores = open(life.disk, life.ledger.is_opened, &clock, &entropy, life.rng.fork())?;
    let user = User { disk: life.disk, stores: &stores };
    let (checked, there) = user.check(life.ledger, life.was_cut).await?;
    if life.works {
        let mut keys = there;
        for _ in 0..life.rng.usize(2..8) {
            let requests = user.draw_requests(life, &mut keys);
            join_all(requests).await.into_iter().collect::<Result<(), _>>()?;
        }
    }
    Ok(checked)
}

struct User<'a> {
    disk: &'a Disk,
    stores: &'a DiskStores,
}

type Request<'a> = BoxFuture<'a, Result<(), Violation>>;

impl<'a> User<'a> {
    async fn check(&self, ledger: &Ledger, was_cut: bool) -> Result<(Checked, BTreeSet<String>), Violation> {
        let mut checked = Checked::default();
        self.check_log(ledger, &mut checked).await?;
        let keys = self.check_objects(ledger, was_cut, &mut checked).await?;
        self.check_view(ledger, &mut checked)?;
        Ok((checked, keys))
    }

    async fn check_log(&self, ledger: &Ledger, checked: &mut Checked) -> Result<(), Violation> {
        let read = self.stores.log.read(LogPosition::ZERO, Consistency::Strong).await;
        let tail = match read.map_err(|error| Violation(format!("the log cannot be read: {error}")))? {
            TailRead::Tail(tail) => tail,
            TailRead::Trimmed => return Err(Violation("the log was trimmed by nobody".into())),
        };
        let mut seen = BTreeSet::new();
        for (position, element) in (tail.first.0..).zip(&tail.elements) {
            let sequence = check_element(ledger, position, element)?;
            if !seen.insert(sequence) {
                return Err(Violation(format!("entry {sequence} is in the log twice")));
            }
            match ledger.elements.get(&position) {
                Some(&known) if known == sequence => checked.elements += 1,
                Some(known) => {
                    let what = format!("position {position}: entry {known} was promised, {sequence} is there");
                    return Err(Violation(what));
                }
                None => checked.unacknowledged += 1,
            }
            self.disk.tell(Told::Element { position, sequence });
        }
        let end = tail.first.0 + tail.elements.len() as u64;
        match ledger.elements.range(end..).next() {
            Some((position, sequence)) => {
                Err(Violation(format!("the log ends before {end}: entry {sequence} at {position} was promised")))
            }
            None => Ok(()),
        }
    }

    /// The keys that are there.
    async fn check_objects(
        &self,
        ledger: &Ledger,
        was_cut: bool,
        checked: &mut Checked,
    ) -> Result<BTreeSet<String>, Violation> {
        let listed = self.stores.objects.list("", None, LISTED_MAX).await;
        let listed = listed.map_err(|error| Violation(format!("objects cannot be listed: {error}")))?;
        let listed: BTreeSet<String> = listed.into_iter().map(|info| info.key.as_str().to_owned()).collect();
        if let Some(key) = listed.iter().find(|key| !ledger.objects.contains_key(*key)) {
            return Err(Violation(format!("object {key} was never put")));
        }
        for (key, allowed) in &ledger.objects {
            let is = self.object(key).await?;
            if is.is_some() != listed.contains(key) {
                return Err(Violation(format!("object {key}: {is:?}, and listed: {}", listed.contains(key))));
            }
            match (allowed.contains(&is), allowed.len()) {
                (false, _) => {
                    return Err(Violation(format!("object {key}: one of {allowed:?} was promised, {is:?} is there")));
                }
                (true, 1) => checked.objects += 1,
                (true, _) => checked.unacknowledged += u64::from(is.is_some()),
            }
            // After kill −9 it may be in the kernel alone: nobody was told of it, and nothing refers to it.
            if was_cut {
                self.disk.tell(Told::Settled { key: key.clone(), is });
            }
        }
        Ok(listed)
    }

    async fn object(&self, name: &str) -> Result<Option<u64>, Violation> {
        match self.stores.objects.get(&key(name), ByteRange::Full).await {
            Ok(bytes) => match number(&bytes.to_bytes()) {
                Some(id) => Ok(Some(id)),
                None => Err(Violation(format!("object {name} is torn"))),
            },
            Err(error) if error.kind() == StoreErrorKind::NotFound => Ok(None),
            Err(error) => Err(Violation(format!("object {name} cannot be read: {error}"))),
        }
    }

    fn check_view(&self, ledger: &Ledger, checked: &mut Checked) -> Result<(), Violation> {
        let items = self.stores.offsets.items();
        let items = items.map_err(|error| Violation(format!("the offsets view cannot be read: {error}")))?;
        let mut found = BTreeMap::new();
        for item in items {
            let group: u8 = item.group.parse().map_err(|_| Violation(format!("group {:?} of nobody", item.group)))?;
            let position = item.position.0;
            if item != offsets_item(group, position) {
                return Err(Violation(format!("the view's item of group {group} at {position} is torn: {item:?}")));
            }
            found.insert(group, position);
            self.disk.tell(Told::Shown { group, position });
        }
        for (group, wanted) in &ledger.shown {
            let there = found.get(group).copied();
            if there.is_none_or(|there| there < *wanted) {
                let what = format!("the view's item of group {group}: {wanted} was promised, {there:?} is there");
                return Err(Violation(what));
            }
            checked.shown += 1;
        }
        Ok(())
    }

    /// Requests that run at the same time; no two of them change the same key, but for a contest.
    fn draw_requests(&self, life: &mut Life<'_>, there: &mut BTreeSet<String>) -> Vec<Request<'a>> {
        let mut requests = Vec::new();
        for _ in 0..life.rng.usize(1..8) {
            match life.rng.u8(..12) {
                0..4 => requests.push(self.append(life)),
                4..7 => {
                    let id = life.next_number();
                    let name = draw_key(life, id);
                    requests.push(self.put(name, id, draw_len(life.rng), true));
                }
                7 => {
                    let (one, other) = (life.next_number(), life.next_number());
                    let name = draw_key(life, one);
                    requests.push(self.put(name.clone(), one, draw_len(life.rng), true));
                    requests.push(self.put(name, other, draw_len(life.rng), true));
                }
                8 => {
                    if let Some(name) = take_any(life, there) {
                        let id = life.next_number();
                        requests.push(self.put(name, id, draw_len(life.rng), false));
                    }
                }
                9 | 10 => {
                    let names = (0..life.rng.usize(1..4)).filter_map(|_| take_any(life, there)).collect();
                    requests.push(self.delete(names));
                }
                _ => requests.push(self.show(life)),
            }
        }
        requests
    }

    fn put(&self, name: String, id: u64, len: usize, create_only: bool) -> Request<'a> {
        let (disk, objects) = (self.disk, &self.stores.objects);
        async move {
            disk.tell(Told::Changing { key: name.clone(), to: Some(id) });
            let bytes = payload(id, len);
            let options = PutOptions { create_only, crc32c: Some(crc32c::crc32c(&bytes)) };
            match objects.put(&key(&name), bytes.into(), options).await {
                Ok(()) => disk.tell(Told::Settled { key: name, is: Some(id) }),
                Err(error) if error.kind() == StoreErrorKind::AlreadyExists && create_only => {
                    disk.tell(Told::Taken { key: name, not: id });
                }
                Err(error) => return Err(Violation(format!("a put over a sound disk failed: {error}"))),
            }
            Ok(())
        }
        .boxed()
    }

    fn delete(&self, names: Vec<String>) -> Request<'a> {
        let (disk, objects) = (self.disk, &self.stores.objects);
        async move {
            for name in &names {
                disk.tell(Told::Changing { key: name.clone(), to: None });
            }
            let keys: Vec<_> = names.iter().map(|name| key(name)).collect();
            for (name, answer) in names.into_iter().zip(objects.delete(&keys).await) {
                answer.map_err(|error| Violation(format!("a deletion over a sound disk failed: {error}")))?;
                disk.tell(Told::Settled { key: name, is: None });
            }
            Ok(())
        }
        .boxed()
    }

    fn append(&self, life: &mut Life<'_>) -> Request<'a> {
        let entries: Vec<_> = (0..life.rng.usize(1..4)).map(|_| (life.next_number(), draw_len(life.rng))).collect();
        let (disk, log) = (self.disk, &self.stores.log);
        async move {
            let mut staged = Vec::with_capacity(entries.len());
            for &(sequence, len) in &entries {
                let sealed = Sealed { session: SESSION, sequence, bytes: payload(sequence, len) };
                staged.push(log.stage(&sealed).await.unwrap());
                disk.tell(Told::Appending { sequence });
            }
            let appended = log.append(&staged, LogPosition::ZERO).await;
            let tail = match appended.map_err(|error| Violation(format!("an append failed: {error}")))? {
                sluice_store::Appended::Tail(tail) => tail,
                sluice_store::Appended::CommittedTailUnread => {
                    return Err(Violation("the tail of an append over a sound disk was not read".into()));
                }
            };
            for (position, element) in (tail.first.0..).zip(&tail.elements) {
                disk.tell(Told::Element { position, sequence: element.sequence });
            }
            let own = tail.elements.iter().filter(|element| entries.iter().any(|(own, _)| *own == element.sequence));
            if own.count() == entries.len() {
                Ok(())
            } else {
                Err(Violation("an append is not in its own tail".into()))
            }
        }
        .boxed()
    }

    fn show(&self, life: &mut Life<'_>) -> Request<'a> {
        let (group, position) = (life.rng.u8(..GROUPS), life.next_number());
        let (disk, offsets) = (self.disk, &self.stores.offsets);
        async move {
            let answer = offsets.put(vec![offsets_item(group, position)]).await.remove(0);
            answer.map_err(|error| Violation(format!("a put into the view over a sound disk failed: {error}")))?;
            disk.tell(Told::Shown { group, position });
            Ok(())
        }
        .boxed()
    }
}

/// The number of the entry that an element is.
fn check_element(ledger: &Ledger, position: u64, element: &Element) -> Result<u64, Violation> {
    let Payload::Inline(bytes) = &element.payload else {
        return Err(Violation(format!("the element at {position} has a body")));
    };
    let is_whole = element.session == SESSION && number(bytes) == Some(element.sequence);
    if !is_whole || !ledger.appending.contains(&element.sequence) {
        return Err(Violation(format!("the element at {position} ({}) was never appended", element.sequence)));
    }
    Ok(element.sequence)
}

/// A key that no other request uses; folders are shared, and some are deep.
fn draw_key(life: &mut Life<'_>, id: u64) -> String {
    match life.rng.u8(..4) {
        0 => format!("{id}"),
        1 => format!("a/{}/{id}", life.rng.u8(..3)),
        2 => format!("b/{}/{}/{id}", life.rng.u8(..2), life.rng.u8(..2)),
        _ => format!("c{}/{id}", life.rng.u8(..6)),
    }
}

fn take_any(life: &mut Life<'_>, there: &mut BTreeSet<String>) -> Option<String> {
    let name = there.iter().nth(life.rng.usize(..there.len().max(1))).cloned()?;
    there.remove(&name);
    Some(name)
}

fn key(name: &str) -> ObjectKey {
    ObjectKey::new(name).unwrap()
}

fn offsets_item(group: u8, position: u64) -> OffsetsItem {
    let offset = i64::try_from(position).unwrap();
    let entry = |partition: i32| OffsetsEntry {
        offset: offset + i64::from(partition),
        leader_epoch: -1,
        metadata: "m".repeat(usize::try_from(position % 300).unwrap()),
        committed_at_ms: offset,
    };
    OffsetsItem {
        incarnation: Incarnation(1),
        group: group.to_string(),
        topic: "t".into(),
        topic_id: Uuid::from_u128(5),
        slice: 0,
        position: LogPosition(position),
        updated_at_ms: offset,
        offsets: (0..i32::try_from(position % 5).unwrap() + 1).map(|partition| (partition, entry(partition))).collect(),
    }
}
