//! One gateway's replica of State: its copy, the tail it follows, and the entries it appends.
//!
//! Promises: State is only ever the replay of the log (I-12); nothing is answered from it before it was applied (I-01);
//! whatever may have happened is settled by replay, never by guessing (L3, I-11).
//! Never: reads an object; knows what a client is.
//! Called by the engine's facade, `produce/`, `fetch/`.

mod append;
mod draft;
mod follow;
mod handle;
mod hashes;
mod keep_alive;
mod log_task;
mod news;
mod owed;
mod proposal;
mod session;
mod waiter;
mod wakers;

pub(crate) use draft::{Draft, DraftBatch, DraftRun, Flight, FlightCount, ProduceDraft};
pub(crate) use handle::{Replica, Shared, give_up, start};
pub(crate) use news::{ViewNews, WatchNews};
pub(crate) use owed::Owed;
pub(crate) use proposal::{Patience, PendingGroup};
pub(crate) use waiter::{Pending, Waiter, waiter};
pub(crate) use wakers::{GroupGuard, SessionHold};
