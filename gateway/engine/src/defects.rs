//! Planted defects: the simulation must find each of them, or it is not worth its time.
//!
//! Never: set outside tests. All off is the only way a gateway is composed.

/// Which defects are planted. All off by default.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Defects {
    /// Acknowledges a Produce when its entry is sealed, before it is in the log (breaks I-01).
    pub ack_before_apply: bool,
    /// Gives an entry of unknown outcome a new identity for its next attempt (breaks L1).
    pub reseal_unknown: bool,
}
