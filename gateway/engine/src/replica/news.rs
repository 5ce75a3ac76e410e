//! What the log task tells the watch and the offsets view: which parts of State changed, so that neither looks at all of it.
//!
//! Promises: whatever changed is named, or everything is; a reader that takes the news before it loads State finds in that
//! State all that the news are about. Never: grows past its bounds (I-14).

use std::collections::BTreeSet;
use std::sync::{Mutex, PoisonError};

use sluice_metadata::{
    Applied, Command, Entry, GroupCommand, GroupNumber, GroupOutcome, MemberNumber, OffsetSlice, Outcome, SessionId,
    State,
};
use tokio::sync::Notify;

/// A place where the log task leaves news for one task.
#[derive(Debug, Default)]
pub(crate) struct Inbox<T> {
    news: Mutex<T>,
    told: Notify,
}

impl<T: Default> Inbox<T> {
    /// Takes all that is there.
    pub(crate) fn take(&self) -> T {
        std::mem::take(&mut self.news.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Adds to it, and tells the reader.
    pub(crate) fn add(&self, add: impl FnOnce(&mut T)) {
        add(&mut self.news.lock().unwrap_or_else(PoisonError::into_inner));
        self.told.notify_one();
    }

    /// Resolves when something was added since the last call.
    pub(crate) async fn told(&self) {
        self.told.notified().await;
    }
}

/// What the watch must look at again.
#[derive(Debug, Default)]
pub(crate) struct WatchNews {
    /// Too much changed to be named.
    pub(crate) everything: bool,
    /// Groups whose phase, generation or members changed.
    pub(crate) groups: BTreeSet<GroupNumber>,
    /// Members and registered ones that joined, were registered, synced, were taken over, or went.
    pub(crate) members: BTreeSet<(GroupNumber, MemberNumber)>,
    /// Sessions that were closed.
    pub(crate) closed: BTreeSet<SessionId>,
    /// Groups whose phase was begun by an entry of this gateway.
    pub(crate) began_here: BTreeSet<GroupNumber>,
}

impl WatchNews {
    pub(super) fn is_empty(&self) -> bool {
        let named = self.groups.len() + self.members.len() + self.closed.len() + self.began_here.len();
        !self.everything && named == 0
    }

    /// Adds later news.
    pub(crate) fn extend(&mut self, later: Self, most: usize) {
        self.everything |= later.everything;
        self.began_here.extend(later.began_here);
        self.groups.extend(later.groups);
        self.members.extend(later.members);
        self.closed.extend(later.closed);
        if self.groups.len() + self.members.len() + self.closed.len() > most {
            let began_here = std::mem::take(&mut self.began_here);
            *self = Self { everything: true, began_here, ..Self::default() };
        }
        if self.began_here.len() > most {
            self.began_here.clear();
        }
    }

    /// Names what one entry changed.
    pub(crate) fn note(&mut self, state: &State, entry: &Entry, applied: &Applied, is_own: bool) {
        self.groups.extend(&applied.groups);
        for (command, outcome) in entry.commands.iter().zip(&applied.outcomes) {
            match (command, outcome) {
                (_, Outcome::SessionClosed { session }) => drop(self.closed.insert(*session)),
                (_, Outcome::Group(GroupOutcome::Joined { group, member, .. })) => {
                    self.members.insert((*group, *member));
                }
                (Command::Group(GroupCommand::Sync(sync)), Outcome::Group(GroupOutcome::Synced)) => {
                    self.members.insert((sync.group, sync.member.member));
                }
                (Command::Group(GroupCommand::TakeOver(taken)), Outcome::Group(GroupOutcome::TookOver)) => {
                    self.members.insert((taken.group, taken.member.member));
                }
                // The end of one that was only registered is nothing that a waiting Join must look at.
                (Command::Group(GroupCommand::Leave(leave)), Outcome::Group(GroupOutcome::Left(_))) => {
                    self.members.extend(leave.members.iter().map(|member| (leave.group, *member)));
                }
                (Command::Group(GroupCommand::ExpireMember(expire)), Outcome::Group(GroupOutcome::MemberExpired)) => {
                    self.members.insert((expire.group, expire.member.member));
                }
                _ => {}
            }
        }
        if is_own {
            let begun = |number: &GroupNumber| state.group_by_number(*number).map(|group| group.phase_began);
            let begun = applied.groups.iter().filter(|number| begun(number) == Some(applied.position));
            self.began_here.extend(begun);
        }
    }
}

/// What the offsets view must show.
#[derive(Debug, Default)]
pub(crate) struct ViewNews {
    /// Slices that entries of this gateway changed.
    pub(crate) own: BTreeSet<OffsetSlice>,
    /// Slices that others changed, by their session.
    pub(crate) others: BTreeSet<(SessionId, OffsetSlice)>,
    /// Sessions of others that an entry of this gateway closed.
    pub(crate) closed_here: BTreeSet<SessionId>,
    /// Slices that did not fit: they are shown with their next commit.
    pub(crate) omitted: u64,
}

impl ViewNews {
    /// Adds later news.
    pub(crate) fn extend(&mut self, later: Self, most: usize) {
        self.closed_here.extend(later.closed_here);
        self.omitted += later.omitted + add_bounded(&mut self.own, later.own, most);
        // What does not fit here is only missed if its gateway dies as well.
        add_bounded(&mut self.others, later.others, most);
    }

    pub(super) fn is_empty(&self) -> bool {
        self.own.is_empty() && self.others.is_empty() && self.closed_here.is_empty() && self.omitted == 0
    }

    /// Names what one entry of `author` changed.
    pub(super) fn note(&mut self, author: SessionId, applied: &Applied, is_own: bool) {
        if !is_own {
            self.others.extend(applied.offset_slices.iter().map(|slice| (author, slice.clone())));
            return;
        }
        self.own.extend(applied.offset_slices.iter().cloned());
        self.closed_here.extend(applied.outcomes.iter().filter_map(|outcome| match outcome {
            Outcome::SessionClosed { session } if *session != author => Some(*session),
            _ => None,
        }));
    }
}

/// How many of `later` had no room.
fn add_bounded<T: Ord>(there: &mut BTreeSet<T>, later: BTreeSet<T>, most: usize) -> u64 {
    let mut omitted = 0;
    for one in later {
        if there.len() < most || there.contains(&one) {
            there.insert(one);
        } else {
            omitted += 1;
        }
    }
    omitted
}
