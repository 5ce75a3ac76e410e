//! The disk stores over a simulated disk that loses power, fills up and fails.
//!
//! Promises: a [`machine::Machine`] keeps what POSIX promises about files and nothing more; a [`run`] drives the real stores,
//! and gateways over them, through several lives that end by a loss of power or by kill −9, and compares each restart with
//! everything that had been promised by then.
//! Never: touches a real disk; looks into the stores, which it knows by their seams alone.
//! Called by the `powercut` binary (`make powercut`) and by the tests of this crate.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing)]

pub mod disk;
pub mod ledger;
pub mod machine;
pub mod payload;
pub mod records;
pub mod run;
pub mod stores;
pub mod survival;
pub mod told;
