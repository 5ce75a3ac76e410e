//! Which members a session hosts, kept as members come, move and go: never by a scan.

use imbl::{OrdMap, OrdSet};

use super::command::{GroupNumber, MemberNumber};
use super::group::Watch;
use crate::SessionId;

/// The members and registered ones of each session.
///
/// A member is here under the session that watches it, and under the one that holds its Join if that is another.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Hosted {
    places: OrdSet<(SessionId, GroupNumber, MemberNumber)>,
    /// How many each session watches; never 0.
    watched: OrdMap<SessionId, usize>,
}

/// Where one member stands: who watches it and who holds its Join.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Place {
    pub(crate) watched_by: SessionId,
    pub(crate) joined_by: Option<SessionId>,
}

impl Place {
    pub(crate) fn of(watch: &Watch, joined_by: Option<SessionId>) -> Self {
        Self { watched_by: watch.session, joined_by }
    }

    /// The sessions it is listed under, each once.
    fn sessions(self) -> impl Iterator<Item = SessionId> {
        let joined_by = self.joined_by.filter(|session| *session != self.watched_by);
        std::iter::once(self.watched_by).chain(joined_by)
    }
}

impl Hosted {
    /// The members a session watches or holds the Joins of, ascending.
    pub(crate) fn of(&self, session: SessionId) -> impl Iterator<Item = (GroupNumber, MemberNumber)> + use<'_> {
        let first = (session, GroupNumber(0), MemberNumber(0));
        let last = (session, GroupNumber(u64::MAX), MemberNumber(u64::MAX));
        self.places.range(first..=last).map(|(_, group, member)| (*group, *member))
    }

    /// How many members and registered ones a session watches.
    pub(crate) fn watched(&self, session: SessionId) -> usize {
        self.watched.get(&session).copied().unwrap_or(0)
    }

    pub(crate) fn add(&mut self, group: GroupNumber, member: MemberNumber, place: Place) {
        for session in place.sessions() {
            self.places.insert((session, group, member));
        }
        *self.watched.entry(place.watched_by).or_insert(0) += 1;
    }

    pub(crate) fn remove(&mut self, group: GroupNumber, member: MemberNumber, place: Place) {
        for session in place.sessions() {
            self.places.remove(&(session, group, member));
        }
        let left = self.watched(place.watched_by).saturating_sub(1);
        if left == 0 {
            self.watched.remove(&place.watched_by);
        } else {
            self.watched.insert(place.watched_by, left);
        }
    }

    /// The member moved from `before` to `after`.
    pub(crate) fn replace(&mut self, group: GroupNumber, member: MemberNumber, before: Place, after: Place) {
        if before != after {
            self.remove(group, member, before);
            self.add(group, member, after);
        }
    }
}
