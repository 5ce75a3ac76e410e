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
    /// Defects of State itself.
    pub state: sluice_metadata::StateDefects,
    /// Judges members that other open sessions watch by its own timers (breaks T2).
    pub expire_by_others: bool,
    /// Proposes the completion of a phase only on the gateway whose entry began it (breaks design section 8).
    pub complete_by_one: bool,
    /// Answers errors and absences from State as it is, without a barrier (breaks T5).
    pub errors_without_barrier: bool,
    /// Enqueues the commits of a group in any order (breaks T7).
    pub commits_unordered: bool,
}
