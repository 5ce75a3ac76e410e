//! The gateway's own session: opened under a nonce, known by the first position that shows it (L2).

use sluice_metadata::SessionId;

/// Where the session is in its life.
#[derive(Debug)]
pub(crate) enum OwnSession {
    /// Being opened. Every nonce sent since the last session was lost counts until one was seen.
    Opening {
        /// The nonces sent.
        nonces: Vec<u128>,
    },
    /// Open.
    Open {
        /// Position of its SessionOpened.
        id: SessionId,
        /// The next entry's sequence.
        next_sequence: u64,
    },
}

impl OwnSession {
    /// None open, none asked for.
    pub(crate) fn none() -> Self {
        Self::Opening { nonces: Vec::new() }
    }

    /// Its id when it is open.
    pub(crate) fn id(&self) -> Option<SessionId> {
        match self {
            Self::Open { id, .. } => Some(*id),
            Self::Opening { .. } => None,
        }
    }

    /// Takes the session at `id` if `nonce` is one of ours and none was taken yet; then all nonces are retired.
    pub(crate) fn take(&mut self, id: SessionId, nonce: u128) -> bool {
        match self {
            Self::Opening { nonces } if nonces.contains(&nonce) => {
                *self = Self::Open { id, next_sequence: 1 };
                true
            }
            _ => false,
        }
    }

    /// True when `nonce` was sent and no session was taken yet.
    pub(crate) fn sent(&self, nonce: u128) -> bool {
        matches!(self, Self::Opening { nonces } if nonces.contains(&nonce))
    }

    /// The next sequence, which is then used up, whatever becomes of the entry (L1: gaps are allowed).
    pub(crate) fn next_sequence(&mut self) -> Option<(SessionId, u64)> {
        match self {
            Self::Open { id, next_sequence } => {
                let sequence = *next_sequence;
                *next_sequence = sequence.checked_add(1)?;
                Some((*id, sequence))
            }
            Self::Opening { .. } => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use sluice_metadata::Position;

    // Holds: L2
    #[test]
    fn the_first_position_with_a_nonce_of_its_own_is_taken_and_never_a_second() {
        let at = |index| SessionId(Position::new(0, index));
        let mut session = OwnSession::Opening { nonces: vec![11, 12] };
        assert!(!session.take(at(3), 99), "another gateway's");
        assert!(session.take(at(5), 12), "the retry came first");
        assert!(!session.take(at(6), 11), "retired");
        assert_eq!(session.id(), Some(at(5)));
    }

    // Holds: L1
    #[test]
    fn sequences_ascend_and_are_used_once() {
        let mut session = OwnSession::Open { id: SessionId(Position::new(0, 1)), next_sequence: 1 };
        let drawn: Vec<_> = (0..3).filter_map(|_| session.next_sequence()).map(|(_, s)| s).collect();
        assert_eq!(drawn, [1, 2, 3]);
        assert_eq!(OwnSession::none().next_sequence(), None);
    }
}
