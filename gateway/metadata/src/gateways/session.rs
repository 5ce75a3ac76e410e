//! One gateway session.

use std::sync::Arc;

use crate::{Position, SessionId};

/// An open gateway session.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Session {
    /// The position of its SessionOpened (L2).
    pub id: SessionId,
    /// The nonce of its OpenSession: a gateway knows its session by it.
    pub nonce: u128,
    /// The highest feature level its build speaks.
    pub feature_level: u16,
    /// The advertised "host:port".
    pub name: Arc<str>,
    /// Stamp of its gateway, milliseconds since 1970 (T3).
    pub opened_at_ms: i64,
    /// Sequence of its last accepted entry; 0 before the first (L1).
    pub last_sequence: u64,
    /// Position of its last accepted entry; its own id before the first (T2).
    pub last_append: Position,
}
