//! Planted defects of State: the simulation over the wire must find each of them, or it is not worth its time.
//!
//! Never: set outside tests. All off is the only way a gateway is composed; a gateway with one of them on computes
//! another State than its neighbours, which is the point.

/// Which defects are planted. All off by default.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct StateDefects {
    /// A take-over changes the session only: neither the epoch nor the last activity (breaks T2, T7).
    pub takeover_keeps_epoch: bool,
    /// Generation, member and phase of a commit are not checked in apply (breaks T7).
    pub commit_unfenced: bool,
    /// The entry of a leave or an expiry never completes a phase (design section 8: completion checked against joins only).
    pub complete_after_joins_only: bool,
    /// A member may be expired while it is joined under an open session (breaks T2).
    pub expire_waiting: bool,
}
