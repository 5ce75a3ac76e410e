//! Who speaks in the log: incarnation, gateway session, and the identity of one entry (L1, L2, L8).

use std::fmt;

use crate::Position;

/// One life of a store, minted when the store is created (L8). In every key and in State.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub struct Incarnation(pub u128);

impl fmt::Display for Incarnation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", self.0)
    }
}

/// A gateway session: the log position of its SessionOpened (L2), so no two sessions ever share an id.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub struct SessionId(pub Position);

impl fmt::Display for SessionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// The identity of an entry (L1): every copy of an entry carries the same one, and at most one copy takes effect.
///
/// An entry that opens a session has none: its session does not exist yet.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Identity {
    /// The session that sealed the entry.
    pub session: SessionId,
    /// Ascending within the session, from 1; gaps are allowed.
    pub sequence: u64,
}

/// What State says of an element before its body is read (L4).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Judgement {
    /// The entry takes effect: its body is needed.
    Accept,
    /// A copy, a zombie or a stranger: it changes nothing, whatever its body says.
    NoOp,
}
