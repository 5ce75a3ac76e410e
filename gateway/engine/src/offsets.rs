//! ListOffsets: the offset at an end, or at a timestamp.
//!
//! Promises: answered after a barrier (T5). By timestamp, the first record with that timestamp or a later one, to the
//! record: extents are skipped by their greatest timestamp, then batches by theirs, then one batch is looked into.

use std::sync::Arc;

use bytes::Bytes;
use sluice_metadata::{Extent, Partition};
use sluice_records::{BatchHeader, PatchPlan, find_timestamp, take_batches};

use crate::api::{Isolation, OffsetAsk, OffsetFound, OffsetSpec};
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
            OffsetSpec::MaxTimestamp => {
                let extents = partition.extents_from(partition.log_start_offset());
                let greatest = extents.filter(|e| e.base_offset < end).map(|e| e.max_timestamp).max();
                match greatest {
                    Some(greatest) => self.find_at(&partition, greatest, end).await,
                    None => Ok(NONE),
                }
            }
        }
    }

    /// The first record at or after `target`, below `end`.
    async fn find_at(&self, partition: &Arc<Partition>, target: i64, end: i64) -> EngineResult<OffsetFound> {
        let start = partition.log_start_offset();
        let candidates = partition.extents_from(start).filter(|extent| extent.max_timestamp >= target);
        for extent in candidates.take_while(|extent| extent.base_offset < end) {
            let found = self.find_in_extent(extent, start, target).await?;
            if let Some(found) = found.filter(|found| found.offset < end) {
                return Ok(found);
            }
        }
        Ok(NONE)
    }

    async fn find_in_extent(&self, extent: &Extent, start: i64, target: i64) -> EngineResult<Option<OffsetFound>> {
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
            let batch = rest.split_to(header.total_len().min(rest.len()));
            let limit = self.inner.parts.limits.decompressed_bytes_max;
            if let Some((delta, timestamp)) = find_timestamp(&batch, 0, target, limit).map_err(corrupt)? {
                let offset = header.base_offset.saturating_add(i64::from(delta));
                if offset >= start {
                    return Ok(Some(OffsetFound { offset, timestamp }));
                }
            }
        }
        Ok(None)
    }
}
