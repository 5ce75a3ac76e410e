//! The binary as people use it: real processes, their output, their exit codes, their sockets.
//!
//! Nothing here sleeps: every wait is for a line, an end of file or an answer, with a deadline.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, missing_docs, unreachable_pub)]

mod bad_input;
mod checking;
mod client;
mod fake_aws;
mod process;
mod serving;
