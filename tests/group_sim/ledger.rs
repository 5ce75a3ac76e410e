//! What members did and what they were told of it.
//!
//! Promises: knows nothing of gateways or stores. Judges what can be told from answers alone: in one generation a
//! partition has one owner.
//! Called by the members while the run goes on, and by the oracle, which compares it with what took effect.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::time::Instant;

/// A topic's number and a partition.
pub type Place = (usize, i32);

/// What has become of a process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fate {
    Alive,
    /// It sent a LeaveGroup.
    Left,
    /// It was killed, or told that it is fenced.
    Dead,
}

/// One process that is, or was, a member.
#[derive(Debug, Clone)]
pub struct Process {
    pub group: usize,
    pub instance: Option<String>,
    pub started: Instant,
    /// When it left, was killed or fenced.
    pub ended: Option<Instant>,
    pub fate: Fate,
    pub member_id: String,
    /// It wants to be in the next generation, or in the current one that it does not know yet.
    pub is_joining: bool,
    /// When the last request was sent whose answer says that the gateway has noted it as a sign of life.
    pub proof: Option<Instant>,
    /// When it was heard of only after its whole session timeout. The proposal to expire it may be on its way since.
    pub late: Option<Instant>,
    /// The last generation whose assignment it was told.
    pub assigned: Option<i32>,
}

/// One OffsetCommit.
#[derive(Debug, Clone)]
pub struct Commit {
    /// The member id that it named.
    pub member_id: String,
    /// See [`Ledger::assign`].
    pub owner: String,
    pub group: usize,
    pub generation: i32,
    pub places: BTreeMap<Place, i64>,
}

#[derive(Default)]
struct Pages {
    processes: BTreeMap<String, Process>,
    by_member_id: BTreeMap<String, String>,
    owners: BTreeMap<(usize, i32, Place), String>,
    commits: BTreeMap<String, Commit>,
    /// The greatest offset of each place that somebody was told is committed.
    acked: BTreeMap<(usize, Place), i64>,
}

/// The ledger of a run.
#[derive(Default)]
pub struct Ledger(Mutex<Pages>);

impl Ledger {
    fn pages(&self) -> MutexGuard<'_, Pages> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub fn start(&self, who: &str, group: usize, instance: Option<String>) {
        let mut pages = self.pages();
        let process = Process {
            group,
            instance,
            started: Instant::now(),
            ended: None,
            fate: Fate::Alive,
            member_id: String::new(),
            is_joining: false,
            proof: None,
            late: None,
            assigned: None,
        };
        pages.processes.insert(who.to_owned(), process);
    }

    /// Changes what is known of a process.
    pub fn change(&self, who: &str, change: impl FnOnce(&mut Process)) {
        if let Some(process) = self.pages().processes.get_mut(who) {
            change(process);
        }
    }

    /// It has this member id from now on; empty: none.
    pub fn name(&self, who: &str, member_id: &str) {
        let mut pages = self.pages();
        if let Some(process) = pages.processes.get_mut(who) {
            member_id.clone_into(&mut process.member_id);
            process.proof = None;
            process.late = None;
            process.assigned = None;
        }
        if !member_id.is_empty() {
            pages.by_member_id.insert(member_id.to_owned(), who.to_owned());
        }
    }

    pub fn process(&self, who: &str) -> Option<Process> {
        self.pages().processes.get(who).cloned()
    }

    /// The process that was told this member id, and its name.
    pub fn by_member_id(&self, member_id: &str) -> Option<(String, Process)> {
        let pages = self.pages();
        let who = pages.by_member_id.get(member_id)?;
        Some((who.clone(), pages.processes.get(who)?.clone()))
    }

    /// The processes of a group that live.
    pub fn alive(&self, group: usize) -> Vec<Process> {
        let pages = self.pages();
        pages.processes.values().filter(|p| p.group == group && p.fate == Fate::Alive).cloned().collect()
    }

    /// The process is no member any more.
    pub fn end(&self, who: &str, fate: Fate) {
        self.change(who, |process| {
            // One that is killed while it leaves has left.
            if process.fate == Fate::Alive {
                process.fate = fate;
                process.ended = Some(Instant::now());
            }
        });
    }

    /// Whether another process of the same instance was there at the same time, or came after this one.
    pub fn has_twin(&self, who: &str) -> bool {
        let pages = self.pages();
        let Some(process) = pages.processes.get(who) else { return false };
        let is_twin = |(name, other): (&String, &Process)| {
            let same = other.group == process.group && other.instance == process.instance;
            same && name != who && other.ended.is_none_or(|ended| ended >= process.started)
        };
        process.instance.is_some() && pages.processes.iter().any(is_twin)
    }

    /// A member was told its assignment. An error when somebody else was told the same. `owner`: its instance id, for a
    /// static member keeps its assignment under a new member id; else its member id.
    pub fn assign(&self, group: usize, generation: i32, places: &[Place], owner: &str) -> Result<(), String> {
        let mut pages = self.pages();
        for place in places {
            let known = pages.owners.entry((group, generation, *place)).or_insert_with(|| owner.to_owned());
            if known != owner {
                return Err(format!("{place:?} belongs to {known} and to {owner} in generation {generation}"));
            }
        }
        Ok(())
    }

    pub fn owner(&self, group: usize, generation: i32, place: Place) -> Option<String> {
        self.pages().owners.get(&(group, generation, place)).cloned()
    }

    pub fn begin_commit(&self, id: &str, commit: Commit) {
        self.pages().commits.insert(id.to_owned(), commit);
    }

    pub fn commit(&self, id: &str) -> Option<Commit> {
        self.pages().commits.get(id).cloned()
    }

    pub fn note_acked(&self, group: usize, place: Place, offset: i64) {
        let mut pages = self.pages();
        let acked = pages.acked.entry((group, place)).or_insert(offset);
        *acked = offset.max(*acked);
    }

    pub fn acked(&self) -> BTreeMap<(usize, Place), i64> {
        self.pages().acked.clone()
    }
}
