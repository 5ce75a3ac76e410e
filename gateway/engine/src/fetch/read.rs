//! Reading the planned extents and patching their batches.

use bytes::Bytes;
use futures_util::future::join_all;
use sluice_metadata::Extent;
use sluice_records::{DownPlan, MessageFormat, PatchPlan, down_convert, take_batches};
use tokio::sync::OwnedSemaphorePermit;

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
    /// Reads a plan; true when a segment was gone. The records keep the room that was made for them until they are sent.
    pub(super) async fn read(&self, call: &FetchCall, plan: Plan, room: OwnedSemaphorePermit) -> (Vec<Fetched>, bool) {
        let ropes = join_all(plan.partitions.iter().map(|partition| self.read_extents(partition))).await;
        let mut answers = Vec::with_capacity(plan.partitions.len());
        let mut is_stale = false;
        let mut sent = 0usize;
        for (partition, ropes) in plan.partitions.iter().zip(ropes) {
            is_stale |= matches!(ropes, Err(ReadFailure::Missing(_)));
            let left = call.max_bytes.saturating_sub(sent);
            let share = Share {
                bytes: partition.max_bytes.min(left),
                first_whole: sent == 0 || (call.message_sets.is_some() && left > 0),
            };
            let patched = ropes.map_err(unreadable).and_then(|ropes| patch(partition, ropes, share));
            let told = match call.message_sets {
                None => patched,
                Some(format) => {
                    // Conversion takes long; other tasks get their turn in between.
                    tokio::task::yield_now().await;
                    patched.and_then(|(rope, _)| self.convert(partition, &rope, format, share))
                }
            };
            let (records, bytes, error) = match told {
                Ok((records, bytes)) => (records, bytes, None),
                Err(error) => (Vec::new(), 0, Some(self.note_unreadable(partition, error))),
            };
            sent = sent.saturating_add(bytes);
            answers.push(answer(partition, partition.error.clone().or(error), records));
        }
        self.inner.metrics.fetch_bytes.inc_by(sent as u64);
        keep_room(&mut answers, room, sent);
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

    /// The batches of `rope` as a message set.
    fn convert(
        &self,
        partition: &PartitionPlan,
        rope: &[Bytes],
        format: MessageFormat,
        share: Share,
    ) -> Result<(Vec<Bytes>, usize), EngineError> {
        let plan = DownPlan {
            format,
            from_offset: partition.offset,
            max_bytes: share.bytes,
            first_whole: share.first_whole,
            max_decompressed: self.inner.parts.limits.decompressed_bytes_max,
        };
        let set = down_convert(rope, &plan)?.bytes;
        let bytes = set.len();
        Ok((if set.is_empty() { Vec::new() } else { vec![set] }, bytes))
    }

    fn note_unreadable(&self, partition: &PartitionPlan, error: EngineError) -> EngineError {
        if matches!(error, EngineError::StorageCorrupt(_)) {
            self.inner.metrics.corrupt_extents.inc();
        }
        // What this reader cannot be told is served to others.
        if matches!(error, EngineError::Batch(_)) {
            tracing::debug!(partition = ?partition.key, offset = partition.offset, %error, "records could not be converted");
        } else {
            tracing::warn!(partition = ?partition.key, offset = partition.offset, %error, "records could not be served");
        }
        error
    }
}

/// What a partition may have of an answer.
#[derive(Clone, Copy)]
struct Share {
    bytes: usize,
    /// Whether its first batch is sent even if it is larger.
    first_whole: bool,
}

/// Binds the room for so many bytes to the last of the records, which is the last to be sent; what is over is given back.
fn keep_room(answers: &mut [Fetched], mut room: OwnedSemaphorePermit, sent: usize) {
    drop(room.split(room.num_permits().saturating_sub(sent)));
    if let Some(last) = answers.iter_mut().rev().find_map(|answer| answer.records.last_mut()) {
        *last = Bytes::from_owner(KeepsRoom { bytes: std::mem::take(last), _room: room });
    }
}

/// Records that give their room back when they are gone.
struct KeepsRoom {
    bytes: Bytes,
    _room: OwnedSemaphorePermit,
}

impl AsRef<[u8]> for KeepsRoom {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

/// The batches of a partition's extents, patched, within its share.
fn patch(
    partition: &PartitionPlan,
    ropes: Vec<(Extent, Vec<Bytes>, bool)>,
    share: Share,
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
            max_bytes: share.bytes.saturating_sub(sent),
            first_whole: share.first_whole && sent == 0,
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

pub(super) fn answer(partition: &PartitionPlan, error: Option<EngineError>, records: Vec<Bytes>) -> Fetched {
    Fetched {
        error,
        high_watermark: partition.high_watermark,
        last_stable_offset: partition.last_stable_offset,
        log_start_offset: partition.log_start_offset,
        records,
    }
}
