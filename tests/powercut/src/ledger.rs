//! What the outside knows: everything that was told before the last end, whatever ended it.
//!
//! Promises: only what was told is expected, and all of it.
//! Called by [`crate::run`], which fills it, and by the workloads, which compare a restart with it.

use std::collections::{BTreeMap, BTreeSet};

use crate::disk::Event;
use crate::told::Told;

/// What is known of a key: the objects that may be there.
pub type Allowed = BTreeSet<Option<u64>>;

/// The sum of what was told.
#[derive(Debug, Clone, Default)]
pub struct Ledger {
    /// The directory was opened once.
    pub is_opened: bool,
    /// (Partition, offset) → record.
    pub records: BTreeMap<(i32, i64), u64>,
    /// Records that did not happen.
    pub refused: BTreeSet<u64>,
    /// (Group, partition) → offset.
    pub committed: BTreeMap<(u8, i32), i64>,
    /// Position → entry.
    pub elements: BTreeMap<u64, u64>,
    /// Entries that were appended, or may have been.
    pub appending: BTreeSet<u64>,
    /// Key → what may be there.
    pub objects: BTreeMap<String, Allowed>,
    /// Group → position in the offsets view.
    pub shown: BTreeMap<u8, u64>,
}

impl Ledger {
    /// The sum of all that a disk's outside was told.
    #[must_use]
    pub fn of(events: &[Event]) -> Self {
        let mut ledger = Self::default();
        for event in events {
            if let Event::Told(told) = event {
                ledger.learn(told);
            }
        }
        ledger
    }

    /// Takes note.
    pub fn learn(&mut self, told: &Told) {
        match told.clone() {
            Told::Opened => self.is_opened = true,
            Told::Record { partition, offset, id } => drop(self.records.insert((partition, offset), id)),
            Told::Refused { id } => drop(self.refused.insert(id)),
            Told::Committed { group, partition, offset } => {
                let known = self.committed.entry((group, partition)).or_default();
                *known = offset.max(*known);
            }
            Told::Element { position, sequence } => drop(self.elements.insert(position, sequence)),
            Told::Appending { sequence } => drop(self.appending.insert(sequence)),
            Told::Changing { key, to } => drop(self.allowed(key).insert(to)),
            Told::Settled { key, is } => *self.allowed(key) = BTreeSet::from([is]),
            Told::Taken { key, not } => self.allowed(key).retain(|there| *there != Some(not) && there.is_some()),
            Told::Shown { group, position } => {
                let known = self.shown.entry(group).or_default();
                *known = position.max(*known);
            }
        }
    }

    fn allowed(&mut self, key: String) -> &mut Allowed {
        // Nothing is where nothing was ever put.
        self.objects.entry(key).or_insert_with(|| BTreeSet::from([None]))
    }
}

/// What restarts were compared with, in numbers.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Checked {
    /// Acknowledged records found again.
    pub records: u64,
    /// Acknowledged offsets.
    pub committed: u64,
    /// Acknowledged elements of the log.
    pub elements: u64,
    /// Acknowledged objects, and acknowledged deletions.
    pub objects: u64,
    /// Acknowledged items of the offsets view.
    pub shown: u64,
    /// What had not been acknowledged and was there, whole.
    pub unacknowledged: u64,
}

impl Checked {
    /// Adds another count.
    pub fn add(&mut self, other: Self) {
        let Self { records, committed, elements, objects, shown, unacknowledged } = other;
        self.records += records;
        self.committed += committed;
        self.elements += elements;
        self.objects += objects;
        self.shown += shown;
        self.unacknowledged += unacknowledged;
    }
}
