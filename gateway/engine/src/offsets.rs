//! ListOffsets: the offset at an end, or at a timestamp.
//!
//! Promises: answered after a barrier (T5). By timestamp, the first record with that timestamp or a later one, to the
//! record: extents are skipped by their greatest timestamp, then batches by theirs, then one batch is looked into. Records
//! below the log start are not found, also where their batch reaches across it (Kafka finds the one with the greatest
//! timestamp until its file is deleted).

use std::cmp::Reverse;
use std::sync::Arc;

use bytes::Bytes;
use sluice_metadata::{Extent, Partition};
use sluice_records::{BatchError, BatchHeader, PatchPlan, find_greatest_timestamp, find_timestamp, take_batches};

use crate::api::{Isolation, OffsetAsk, OffsetFound, OffsetSpec, OldOffsetAsk, OldTimestamp};
use crate::engine::Engine;
use crate::error::{EngineError, EngineResult};
use crate::fetch::unreadable;
use crate::produce::partition_key;

/// No offset: not an error (Kafka answers it with error 0).
const NONE: OffsetFound = OffsetFound { offset: -1, timestamp: -1 };

impl Engine {
    /// The offsets asked for.
    pub async fn list_offsets(&self, asks: Vec<OffsetAsk>, isolation: Isolation) -> Vec<EngineResult<OffsetFound>> {
        if let Err(error) = self.barrier().await {
            return asks.iter().map(|_| Err(error.clone())).collect();
        }
        let mut answers = Vec::with_capacity(asks.len());
        for ask in asks {
            answers.push(self.list_offset(&ask, isolation).await);
        }
        answers
    }

    async fn list_offset(&self, ask: &OffsetAsk, isolation: Isolation) -> EngineResult<OffsetFound> {
        let view = self.inner.replica.view();
        let key = partition_key(&view, &ask.topic, ask.partition)?;
        let partition = view.partition(&key).ok_or(EngineError::UnknownPartition)?.clone();
        drop(view);
        if ask.leader_epoch.is_some_and(|epoch| epoch > 0) {
            return Err(EngineError::UnknownLeaderEpoch);
        }
        let end = match isolation {
            Isolation::ReadUncommitted => partition.high_watermark(),
            Isolation::ReadCommitted => partition.last_stable_offset(),
        };
        let at = |offset| Ok(OffsetFound { offset, timestamp: -1 });
        match ask.spec {
            OffsetSpec::Latest => at(end),
            OffsetSpec::Earliest | OffsetSpec::EarliestLocal => at(partition.log_start_offset()),
            OffsetSpec::LatestTiered | OffsetSpec::EarliestPendingUpload => Ok(NONE),
            OffsetSpec::Timestamp(target) => self.find_at(&partition, target, end).await,
            OffsetSpec::MaxTimestamp => self.find_greatest(&partition, end).await,
        }
    }

    /// The offsets of one partition that Kafka before 0.10.1 tells of a time (ListOffsets 0): starts of files that were last
    /// written by then, and the end, the latest first. Here a partition is one file, last written at its greatest timestamp.
    pub async fn list_old_offsets(&self, asks: Vec<OldOffsetAsk>) -> Vec<EngineResult<Vec<i64>>> {
        if let Err(error) = self.barrier().await {
            return asks.iter().map(|_| Err(error.clone())).collect();
        }
        let view = self.inner.replica.view();
        let now_ms = self.inner.parts.stamp_ms();
        let old_offsets = |ask: OldOffsetAsk| {
            let key = partition_key(&view, &ask.topic, ask.partition)?;
            let partition = view.partition(&key).ok_or(EngineError::UnknownPartition)?;
            Ok(old_offsets(partition, ask.timestamp, now_ms, ask.max_offsets))
        };
        asks.into_iter().map(old_offsets).collect()
    }

    /// The first record at or after `target`, below `end`.
    async fn find_at(&self, partition: &Arc<Partition>, target: i64, end: i64) -> EngineResult<OffsetFound> {
        let start = partition.log_start_offset();
        let candidates = partition.extents_from(start).filter(|extent| extent.max_timestamp >= target);
        for extent in candidates.take_while(|extent| extent.base_offset < end) {
            let found = self.find_in_extent(extent, start, |batch| batch.find_at(target)).await?;
            if let Some(found) = found.filter(|found| found.offset < end) {
                return Ok(found);
            }
        }
        Ok(NONE)
    }

    /// The first of the records with the greatest timestamp, below `end`. An extent is believed when it says which timestamp
    /// is its greatest, unless records at its front are deleted.
    async fn find_greatest(&self, partition: &Arc<Partition>, end: i64) -> EngineResult<OffsetFound> {
        let start = partition.log_start_offset();
        let mut extents: Vec<&Extent> = partition.extents_from(start).take_while(|e| e.base_offset < end).collect();
        extents.sort_by_key(|extent| (Reverse(extent.max_timestamp), extent.base_offset));
        let mut best: Option<OffsetFound> = None;
        for extent in extents {
            let promised = OffsetFound { offset: extent.base_offset, timestamp: extent.max_timestamp };
            if best.is_some_and(|best| better(best, promised) == best) {
                break;
            }
            let found = self.find_greatest_in(extent, start, end).await?;
            best = found.map(|found| best.map_or(found, |best| better(best, found))).or(best);
            if found.is_some() && extent.base_offset >= start {
                break;
            }
        }
        Ok(best.unwrap_or(NONE))
    }

    async fn find_greatest_in(&self, extent: &Extent, start: i64, end: i64) -> EngineResult<Option<OffsetFound>> {
        let mut best: Option<OffsetFound> = None;
        let look = |batch: &PlacedBatch| {
            if best.is_none_or(|best| batch.max_timestamp > best.timestamp) {
                let found = batch.find_greatest()?.filter(|found| found.offset < end);
                best = found.map(|found| best.map_or(found, |best| better(best, found))).or(best);
            }
            Ok(None)
        };
        self.find_in_extent(extent, start, look).await?;
        Ok(best)
    }

    /// What `find` finds first in the batches of an extent that end after `start`.
    async fn find_in_extent(
        &self,
        extent: &Extent,
        start: i64,
        mut find: impl FnMut(&PlacedBatch) -> Result<Option<OffsetFound>, BatchError>,
    ) -> EngineResult<Option<OffsetFound>> {
        let range = extent.start..extent.start.saturating_add(u64::from(extent.bytes));
        let read = self.inner.reader.read(extent.object, range).await.map_err(unreadable)?;
        let plan = PatchPlan {
            check_crc: read.from_store,
            from_offset: start,
            ..PatchPlan::whole(extent.base_offset, u64::from(extent.records))
        };
        let corrupt = |error| EngineError::StorageCorrupt(format!("{error}, in {:?}", extent.object));
        let taken = take_batches(&read.chunks, &plan).map_err(corrupt)?;
        let mut rest: Bytes = taken.chunks.concat().into();
        while !rest.is_empty() {
            let header = BatchHeader::parse(&rest).map_err(corrupt)?;
            let bytes = rest.split_to(header.total_len().min(rest.len()));
            let max_decompressed = self.inner.parts.limits.decompressed_bytes_max;
            let BatchHeader { base_offset, max_timestamp, .. } = header;
            let batch = PlacedBatch { bytes, base_offset, max_timestamp, start, max_decompressed };
            if let Some(found) = find(&batch).map_err(corrupt)? {
                return Ok(Some(found));
            }
            tokio::task::yield_now().await;
        }
        Ok(None)
    }
}

/// The one with the greater timestamp; of two with the same, the earlier one.
fn better(one: OffsetFound, other: OffsetFound) -> OffsetFound {
    let order = |found: &OffsetFound| (found.timestamp, Reverse(found.offset));
    if order(&other) > order(&one) { other } else { one }
}

/// A batch and where in the log it is.
struct PlacedBatch {
    bytes: Bytes,
    base_offset: i64,
    /// Greatest timestamp, as its header says.
    max_timestamp: i64,
    /// The log's first offset: records before it are deleted.
    start: i64,
    max_decompressed: usize,
}

impl PlacedBatch {
    fn find_at(&self, target: i64) -> Result<Option<OffsetFound>, BatchError> {
        let found = find_timestamp(&self.bytes, self.first_delta(), target, self.max_decompressed)?;
        Ok(found.map(|found| self.place(found)))
    }

    fn find_greatest(&self) -> Result<Option<OffsetFound>, BatchError> {
        let found = find_greatest_timestamp(&self.bytes, self.first_delta(), self.max_decompressed)?;
        Ok(found.map(|found| self.place(found)))
    }

    fn first_delta(&self) -> i32 {
        i32::try_from(self.start.saturating_sub(self.base_offset).max(0)).unwrap_or(i32::MAX)
    }

    fn place(&self, (delta, timestamp): (i32, i64)) -> OffsetFound {
        OffsetFound { offset: self.base_offset.saturating_add(i64::from(delta)), timestamp }
    }
}

fn old_offsets(partition: &Partition, timestamp: OldTimestamp, now_ms: i64, max_offsets: usize) -> Vec<i64> {
    let (start, end) = (partition.log_start_offset(), partition.high_watermark());
    let written_ms = partition.latest_extent().map(|extent| extent.max_timestamp);
    let all = if end > start { vec![end, start] } else { vec![end] };
    let known = match timestamp {
        OldTimestamp::Latest => all,
        OldTimestamp::Earliest => vec![start],
        OldTimestamp::At(at) if at >= now_ms => all,
        OldTimestamp::At(at) if written_ms.is_some_and(|written_ms| written_ms <= at) => vec![start],
        OldTimestamp::At(_) => Vec::new(),
    };
    known.into_iter().take(max_offsets).collect()
}
