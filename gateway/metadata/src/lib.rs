//! The replicated state machine: entries, commands, apply, snapshots. Pure.
