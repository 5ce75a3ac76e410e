//! The commit protocol against a model log: two gateways, a network that duplicates, delays and reorders, and clients
//! that believe what they are told (L1, L2, L3).
//!
//! `world` holds the log and plays a schedule, `gateway` is the model of one gateway (its side of L1 to L3), `clients`
//! decides what is written, `truth` replays the log once more and judges everybody by it. `groups` is a game of its own:
//! commands of groups, proposed by several gateways from States of any age. `topics` is another one.

#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

mod clients;
mod gateway;
mod groups;
mod tests;
mod topics;
mod truth;
mod world;

use proptest::test_runner::{Config, RngSeed};

use crate::Session;

/// A deterministic configuration of proptest: the same cases on every run.
pub(crate) fn config(cases: u32) -> Config {
    Config { cases, failure_persistence: None, rng_seed: RngSeed::Fixed(20_260), ..Config::default() }
}

/// Defects that the properties must find.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Defect {
    None,
    /// L1 without the sequence: every copy of an entry of an open session takes effect.
    ForgetSequences,
    /// L1 without the session: zombies of closed sessions take effect.
    ForgetCloses,
    /// L3 broken in the model gateway: what is absent from a read of the whole log "did not happen".
    TrustAbsence,
    /// L2 broken in the model gateway: it takes the last position with a nonce of its own.
    TakeLaterSessions,
    /// T7 broken: AlterConfigs replaces whatever is there, seen or not.
    AlterBlindly,
}

impl Defect {
    /// True when the defect makes State accept an entry of this session, `None` when it is not open.
    pub(crate) fn accepts(self, session: Option<&Session>) -> bool {
        match self {
            Self::ForgetSequences => session.is_some(),
            Self::ForgetCloses => session.is_none(),
            Self::None | Self::TrustAbsence | Self::TakeLaterSessions | Self::AlterBlindly => false,
        }
    }
}
