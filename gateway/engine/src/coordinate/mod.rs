//! Groups: Kafka's coordinator without a coordinator (design section 8).
//!
//! Any gateway serves any request of any group (I-06): what a group is stands in State, what changes it is a command, and
//! what only time tells (a member was silent, a delay is over) is proposed by gateways that watched it (T2).
//! `api.rs` is what the server asks; a file per request; `watch.rs`, `timers.rs` and `trusted_time.rs` are time;
//! `expire_offsets.rs` and `view.rs` run in the background.
//! Never: waits for a proposal of its own timers; judges a timeout by another machine's clock.

mod api;
mod commit;
mod commit_order;
mod delete;
mod describe;
mod expire_offsets;
mod fetch_offsets;
mod group_metrics;
mod heartbeat;
mod join;
mod judge;
mod leave;
mod payload;
mod subscription;
mod sync;
mod timers;
mod trusted_time;
mod view;
mod watch;
mod windows;

pub use api::*;
pub(crate) use commit_order::CommitOrder;
pub(crate) use expire_offsets::expire_offsets;
pub(crate) use group_metrics::{GroupLag, GroupMetrics};
pub(crate) use view::{ViewHandle, start_view};
pub(crate) use watch::{Watch, start_watch};
