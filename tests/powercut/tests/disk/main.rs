//! The disk stores over a simulated disk: the model itself, losses of power at every operation, disks that are full or fail.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, missing_docs, unreachable_pub)]

mod cuts;
mod faults;
mod gateways;
mod machine;
mod requests;
mod runs;
