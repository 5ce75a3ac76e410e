//! Reading the planned extents and patching their batches.

use bytes::Bytes;
use futures_util::future::join_all;
use sluice_metadata::Extent;
use sluice_records::{PatchPlan, take_batches};

use super::plan::{PartitionPlan, Plan};
use crate::api::{FetchCall, Fetched};
use crate::cache::ReadFailure;
use crate::engine::Engine;
use crate::error::EngineError;

/// The leader epoch of every batch: it is 0 for a topic's life.
const LEADER_EPOCH: i32 = 0;

/// The bytes of a partition's extents, or why they are not to be had.
type Ropes = Result<Vec<(Extent, Vec<Bytes>, bool)>, ReadFailure>;

impl Engine {
    /// Reads a plan; true when a segment was gone.
    pub(super) async fn read(&self, call: &FetchCall, plan: Plan) -> (Vec<Fetched>, bool) {
        let permit = if plan.read_bytes > 0 { self.fetch_permit(plan.read_bytes).await } else { None };
        if plan.read_bytes > 0 && permit.is_none() {
            let error = EngineError::StorageUnavailable("no room for more records in time".into());
            return (plan.partitions.into_iter().map(|p| answer(&p, Some(error.clone()), Vec::new())).collect(), false);
        }
        let ropes = join_all(plan.partitions.iter().map(|partition| self.read_extents(partition))).await;
        let mut answers = Vec::with_capacity(plan.partitions.len());
        let mut is_stale = false;
        let mut sent = 0usize;
        for (partition, ropes) in plan.partitions.iter().zip(ropes) {
            is_stale |= matches!(ropes, Err(ReadFailure::Missing(_)));
            let budget = partition.max_bytes.min(call.max_bytes.saturating_sub(sent));
            let (records, bytes, error) =
                match ropes.map_err(unreadable).and_then(|ropes| patch(partition, ropes, budget, sent == 0)) {
                    Ok((records, bytes)) => (records, bytes, None),
                    Err(error) => (Vec::new(), 0, Some(self.note_unreadable(partition, error))),
                };
            sent = sent.saturating_add(bytes);
            answers.push(answer(partition, partition.error.clone().or(error), records));
        }
        self.inner.metrics.fetch_bytes.inc_by(sent as u64);
        (answers, is_stale)
    }

    async fn read_extents(&self, partition: &PartitionPlan) -> Ropes {
        let reads = partition.extents.iter().map(|extent| async move {
            let range = extent.start..extent.start.saturating_add(u64::from(extent.bytes));
            let read = self.inner.reader.read(extent.object, range).await?;
            Ok((*extent, read.chunks, read.from_store))
        });
        join_all(reads).await.into_iter().collect()
    }

    fn note_unreadable(&self, partition: &PartitionPlan, error: EngineError) -> EngineError {
        if matches!(error, EngineError::StorageCorrupt(_)) {
            self.inner.metrics.corrupt_extents.inc();
        }
        tracing::warn!(partition = ?partition.key, offset = partition.offset, %error, "records could not be served");
        error
    }
}

/// The batches of a partition's extents, patched, within `budget` bytes; the first one whole if `first_whole`.
fn patch(
    partition: &PartitionPlan,
    ropes: Vec<(Extent, Vec<Bytes>, bool)>,
    budget: usize,
    first_whole: bool,
) -> Result<(Vec<Bytes>, usize), EngineError> {
    let mut records = Vec::new();
    let mut sent = 0usize;
    for (extent, rope, from_store) in ropes {
        let plan = PatchPlan {
            base_offset: extent.base_offset,
            records: u64::from(extent.records),
            leader_epoch: LEADER_EPOCH,
            check_crc: from_store,
            from_offset: partition.offset,
            end_offset: partition.end_offset,
            max_bytes: budget.saturating_sub(sent),
            first_whole: first_whole && sent == 0,
        };
        let taken = take_batches(&rope, &plan).map_err(|error| {
            let object = extent.object;
            EngineError::StorageCorrupt(format!("{error}, in {object:?} at byte {}", extent.start))
        })?;
        sent = sent.saturating_add(taken.bytes);
        records.extend(taken.chunks);
        if !taken.reached_end {
            break;
        }
    }
    Ok((records, sent))
}

pub(crate) fn unreadable(failure: ReadFailure) -> EngineError {
    match failure {
        ReadFailure::Missing(why) | ReadFailure::Unavailable(why) => EngineError::StorageUnavailable(why),
        ReadFailure::Short(why) => EngineError::StorageCorrupt(why),
    }
}

fn answer(partition: &PartitionPlan, error: Option<EngineError>, records: Vec<Bytes>) -> Fetched {
    Fetched {
        error,
        high_watermark: partition.high_watermark,
        last_stable_offset: partition.last_stable_offset,
        log_start_offset: partition.log_start_offset,
        records,
    }
}
