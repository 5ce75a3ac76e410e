//! librdkafka as a writer and a reader of the workload.
//!
//! Promises: a run writes record i of the workload into partition i modulo the number of partitions, and checks the offset
//! of every acknowledgement; a read compares every record with the one that belongs there, byte for byte. Never: goes on
//! past its deadline. Called by the suites of this member and by `long_runs`.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing)]

pub mod long_run;
mod reader;
mod writer;

pub use reader::{Read, read};
pub use writer::{Progress, Write, create_topic, write};

use std::time::Duration;

use rdkafka::ClientConfig;

/// The configuration that writers and readers share.
fn client(bootstrap: &str) -> ClientConfig {
    let mut config = ClientConfig::new();
    config
        .set("bootstrap.servers", bootstrap)
        // A gateway that was killed is back at once: do not wait for it longer than it is gone.
        .set("reconnect.backoff.ms", "20")
        .set("reconnect.backoff.max.ms", "500")
        .set("socket.connection.setup.timeout.ms", "10000");
    config
}

fn millis(duration: Duration) -> String {
    duration.as_millis().to_string()
}
