//! Gateway sessions: who may speak in the log (L1, L2).
//!
//! Promises: a session that is not here is not open, for ever: its id, a position, is never given again. Never: decides
//! when a session has expired; a close is a command that another gateway, or its own, proposes (T2).

mod commands;
mod section;
mod session;
#[cfg(test)]
mod tests;

use imbl::OrdMap;

use crate::{Identity, Judgement, Outcome, Position, SessionId, SessionRefusal, limits};

pub(crate) use commands::{read_close, read_open, write_close, write_open};
pub(crate) use section::{read_session, write_session};
pub use session::Session;

/// The open sessions.
#[derive(Debug, Clone, Default)]
pub(crate) struct Gateways {
    pub(super) sessions: OrdMap<SessionId, Session>,
}

impl Gateways {
    pub(crate) fn get(&self, id: SessionId) -> Option<&Session> {
        self.sessions.get(&id)
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &Session> {
        self.sessions.values()
    }

    pub(crate) fn len(&self) -> usize {
        self.sessions.len()
    }

    /// L1: only open sessions, only sequences above the session's last. Gaps are allowed: dropped entries leave them.
    pub(crate) fn judge(&self, identity: Identity) -> Judgement {
        match self.get(identity.session) {
            Some(session) if identity.sequence > session.last_sequence => Judgement::Accept,
            _ => Judgement::NoOp,
        }
    }

    /// Opens the session that `position` names (L2), unless a bound or the feature level (I-12) forbids it.
    pub(crate) fn open(&mut self, position: Position, request: OpenRequest<'_>, level: u16) -> Outcome {
        if request.feature_level < level {
            return Outcome::SessionRefused(SessionRefusal::FeatureLevel { required: level });
        }
        if request.name.len() > limits::SESSION_NAME_BYTES {
            return Outcome::SessionRefused(SessionRefusal::BadName);
        }
        if self.sessions.len() >= limits::SESSIONS {
            return Outcome::SessionRefused(SessionRefusal::TooManySessions);
        }
        let session = Session {
            id: SessionId(position),
            nonce: request.nonce,
            feature_level: request.feature_level,
            name: request.name.into(),
            opened_at_ms: request.opened_at_ms,
            last_sequence: 0,
            last_append: position,
        };
        self.sessions.insert(session.id, session);
        Outcome::SessionOpened { session: SessionId(position) }
    }

    /// Closes a session if `last_append` still is its last append (T2, T7): a session that spoke since is alive.
    pub(crate) fn close(&mut self, id: SessionId, last_append: Position) -> Outcome {
        match self.get(id) {
            Some(session) if session.last_append == last_append => {
                self.sessions.remove(&id);
                Outcome::SessionClosed { session: id }
            }
            _ => Outcome::SessionCloseRefused,
        }
    }

    /// Remembers an accepted entry, whatever became of its commands (L1). A session that closed itself is gone already.
    pub(crate) fn record_append(&mut self, identity: Identity, position: Position) {
        if let Some(session) = self.sessions.get_mut(&identity.session) {
            session.last_sequence = identity.sequence;
            session.last_append = position;
        }
    }

    pub(crate) fn restore(&mut self, session: Session) {
        self.sessions.insert(session.id, session);
    }
}

/// The fields of an OpenSession command.
pub(crate) struct OpenRequest<'a> {
    pub(crate) nonce: u128,
    pub(crate) feature_level: u16,
    pub(crate) opened_at_ms: i64,
    pub(crate) name: &'a str,
}
