//! Which extents a Fetch gets: a pure function of State and the call.

use sluice_metadata::{Extent, Partition, PartitionKey, State};

use crate::api::{FetchAsk, FetchCall, Isolation};
use crate::error::EngineError;
use crate::produce::partition_key;

/// What a Fetch will read.
#[derive(Debug)]
pub(super) struct Plan {
    pub(super) partitions: Vec<PartitionPlan>,
    /// Bytes of records that could be sent, up to the call's budget.
    pub(super) available_bytes: usize,
    /// Bytes of the extents to be read.
    pub(super) read_bytes: usize,
    pub(super) has_error: bool,
    /// Something was not found that another gateway may have made (T5).
    pub(super) has_absence: bool,
}

/// One partition of it.
#[derive(Debug)]
pub(super) struct PartitionPlan {
    pub(super) key: Option<PartitionKey>,
    pub(super) error: Option<EngineError>,
    pub(super) high_watermark: i64,
    pub(super) last_stable_offset: i64,
    pub(super) log_start_offset: i64,
    pub(super) offset: i64,
    /// One past the last offset that may be sent.
    pub(super) end_offset: i64,
    pub(super) max_bytes: usize,
    pub(super) extents: Vec<Extent>,
}

impl Plan {
    pub(super) fn of(view: &State, call: &FetchCall) -> Self {
        let mut plan = Self {
            partitions: Vec::with_capacity(call.partitions.len()),
            available_bytes: 0,
            read_bytes: 0,
            has_error: false,
            has_absence: false,
        };
        for ask in &call.partitions {
            plan.add(view, call, ask);
        }
        plan
    }

    pub(super) fn keys(&self) -> Vec<PartitionKey> {
        self.partitions.iter().filter_map(|partition| partition.key).collect()
    }

    fn add(&mut self, view: &State, call: &FetchCall, ask: &FetchAsk) {
        let found = partition_key(view, &ask.topic, ask.partition);
        let found = found.and_then(|key| Ok((key, view.partition(&key).ok_or(EngineError::UnknownPartition)?)));
        let (key, partition) = match found {
            Ok(found) => found,
            Err(error) => {
                self.has_absence = true;
                return self.refuse(PartitionPlan::unknown(ask), error);
            }
        };
        let mut planned = PartitionPlan::known(ask, key, partition, call.isolation);
        if ask.leader_epoch.is_some_and(|epoch| epoch > 0) {
            return self.refuse(PartitionPlan::unknown(ask), EngineError::UnknownLeaderEpoch);
        }
        let is_outside = ask.offset < planned.log_start_offset || ask.offset > planned.high_watermark;
        // Kafka says so of an epoch that no record of the log has.
        if is_outside || ask.last_fetched_epoch.is_some_and(|epoch| epoch > 0) {
            self.has_absence |= is_outside;
            return self.refuse(PartitionPlan::unknown(ask), EngineError::OffsetOutOfRange);
        }
        planned.max_bytes = ask.max_bytes;
        // What is read, not what is sent: where the batches end is known only then.
        let budget = ask.max_bytes.min(call.max_bytes.saturating_sub(self.available_bytes));
        // The first batch of the first partition that has one goes whole, whatever the budgets say (KIP-74).
        let is_first =
            self.available_bytes == 0 || (call.message_sets.is_some() && self.available_bytes < call.max_bytes);
        let mut bytes = 0usize;
        for extent in partition.extents_from(ask.offset).take_while(|extent| extent.base_offset < planned.end_offset) {
            if bytes >= budget && !(is_first && bytes == 0) {
                break;
            }
            bytes = bytes.saturating_add(usize::try_from(extent.bytes).unwrap_or(usize::MAX));
            planned.extents.push(*extent);
        }
        self.read_bytes = self.read_bytes.saturating_add(bytes);
        let sendable = if is_first { bytes.min(budget.max(1)) } else { bytes.min(budget) };
        self.available_bytes = self.available_bytes.saturating_add(sendable);
        self.partitions.push(planned);
    }

    fn refuse(&mut self, planned: PartitionPlan, error: EngineError) {
        self.has_error = true;
        self.partitions.push(PartitionPlan { error: Some(error), ..planned });
    }
}

impl PartitionPlan {
    fn unknown(ask: &FetchAsk) -> Self {
        Self {
            key: None,
            error: None,
            high_watermark: -1,
            last_stable_offset: -1,
            log_start_offset: -1,
            offset: ask.offset,
            end_offset: 0,
            max_bytes: 0,
            extents: Vec::new(),
        }
    }

    fn known(ask: &FetchAsk, key: PartitionKey, partition: &Partition, isolation: Isolation) -> Self {
        let end_offset = match isolation {
            Isolation::ReadUncommitted => partition.high_watermark(),
            Isolation::ReadCommitted => partition.last_stable_offset(),
        };
        Self {
            key: Some(key),
            high_watermark: partition.high_watermark(),
            last_stable_offset: partition.last_stable_offset(),
            log_start_offset: partition.log_start_offset(),
            end_offset,
            ..Self::unknown(ask)
        }
    }
}
