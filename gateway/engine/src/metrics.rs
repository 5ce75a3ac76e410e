//! What the engine counts.
//!
//! Names and meanings stand in `register`, and in the answer of `/metrics`.

use std::sync::{Arc, OnceLock};

use prometheus_client::metrics::counter::Counter;
use prometheus_client::registry::Registry;

use crate::coordinate::{GroupLag, GroupMetrics};

/// Counters of one gateway's engine.
#[derive(Debug, Default)]
pub struct Metrics {
    /// Reads of the metadata log.
    pub log_reads: Counter,
    /// Append requests to the metadata log.
    pub log_appends: Counter,
    /// Append requests whose outcome was not known at first (L3).
    pub log_unknown: Counter,
    /// Log elements applied.
    pub log_applied: Counter,
    /// Segment objects written.
    pub segments_put: Counter,
    /// Bytes of segment objects written.
    pub segment_bytes_put: Counter,
    /// Segments that could not be written.
    pub segment_put_failures: Counter,
    /// Bytes of record batches admitted.
    pub produce_bytes: Counter,
    /// Record batches admitted.
    pub produce_batches: Counter,
    /// Bytes of record batches sent to readers.
    pub fetch_bytes: Counter,
    /// Blocks of segments read from the store.
    pub blocks_read: Counter,
    /// Extents whose bytes were not what was written.
    pub corrupt_extents: Counter,
    /// Groups.
    pub(crate) groups: GroupMetrics,
    /// Lag of groups, computed when asked for; set once the replica is there.
    pub(crate) lag: OnceLock<Arc<GroupLag>>,
}

impl Metrics {
    /// Registers everything under `sluice_…`.
    pub fn register(&self, registry: &mut Registry) {
        let counters = [
            ("sluice_log_reads", "Reads of the metadata log", &self.log_reads),
            ("sluice_log_appends", "Append requests to the metadata log", &self.log_appends),
            ("sluice_log_unknown_appends", "Append requests whose outcome was not known at first", &self.log_unknown),
            ("sluice_log_applied_elements", "Log elements applied", &self.log_applied),
            ("sluice_segments_put", "Segment objects written", &self.segments_put),
            ("sluice_segment_bytes_put", "Bytes of segment objects written", &self.segment_bytes_put),
            ("sluice_segment_put_failures", "Segments that could not be written", &self.segment_put_failures),
            ("sluice_produce_bytes", "Bytes of record batches admitted", &self.produce_bytes),
            ("sluice_produce_batches", "Record batches admitted", &self.produce_batches),
            ("sluice_fetch_bytes", "Bytes of record batches sent to readers", &self.fetch_bytes),
            ("sluice_segment_blocks_read", "Blocks of segments read from the store", &self.blocks_read),
            ("sluice_corrupt_extents", "Extents whose bytes were not what was written", &self.corrupt_extents),
        ];
        for (name, help, counter) in counters {
            registry.register(name, help, counter.clone());
        }
        self.groups.register(registry);
        if let Some(lag) = self.lag.get() {
            registry.register_collector(Box::new(lag.clone()));
        }
    }
}
