//! Connections to the binary itself: what thousands of them cost, who is dropped, and that nobody is starved.
//!
//! Promises: what is measured is printed; what is asserted is counted in requests, bytes and CPU time of the process, never
//! in time on the wall. Called by `cargo test`.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, missing_docs)]

#[path = "connections/ends.rs"]
mod ends;
#[path = "connections/greedy.rs"]
mod greedy;
#[path = "connections/idle.rs"]
mod idle;
#[path = "connections/slow.rs"]
mod slow;

use std::io::Write;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::{Mutex, PoisonError};

use sluice_protocol::messages::{ApiVersionsRequest, MetadataRequest};
use sluice_tests::process::Sluice;
use sluice_tests::raw::frame;

/// How often a test begins again because the machine did not let the gateway run.
const ATTEMPTS: usize = 3;

/// Runs a test on a fresh gateway with these settings, and a directory of its own; one at a time: they measure a process, and would measure each other.
///
/// A gateway that could not run for a second closes the connections that it had (T7). That says something about the machine
/// and nothing about what is tested here: such a run does not count.
fn on_a_gateway(settings: &[&str], test: impl Fn(&Sluice)) {
    static ALONE: Mutex<()> = Mutex::new(());
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    for attempt in 1.. {
        let folder = tempfile::TempDir::new().unwrap();
        let settings = [settings, &["--data-dir", folder.path().to_str().unwrap()]].concat();
        let sluice = Sluice::serve(&settings, &[]);
        let Err(failure) = catch_unwind(AssertUnwindSafe(|| test(&sluice))) else { return };
        let stood_still = sluice.metric("sluice_connections_closed_total{reason=\"clock_gap\"}") > 0;
        if !stood_still || attempt == ATTEMPTS {
            resume_unwind(failure);
        }
        report("the gateway could not run for a second: once more");
    }
}

/// A line of measurements, also from a test that passes.
fn report(line: &str) {
    let _ = writeln!(std::io::stderr(), "connections: {line}");
}

/// What every client asks first.
fn first_requests() -> Vec<Vec<u8>> {
    vec![frame(1, 3, &ApiVersionsRequest::default()), metadata(2)]
}

fn metadata(id: i32) -> Vec<u8> {
    frame(id, 12, &MetadataRequest::default())
}
