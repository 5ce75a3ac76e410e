//! Chunk items: elements that were rolled off the head, found again by position (L6).

use std::ops::Range;

use aws_sdk_dynamodb::operation::query::QueryOutput;
use aws_sdk_dynamodb::operation::query::builders::QueryFluentBuilder;
use aws_sdk_dynamodb::types::AttributeValue;
use bytes::Bytes;
use sluice_store::{Element, LogPosition, StoreResult};

use crate::classify::Effect;
use crate::layout::{self, Item};
use crate::table::LogTable;

/// What the chunks say of a range of positions.
#[derive(Debug)]
pub(crate) enum Rolled {
    /// Its elements.
    Elements(Vec<Element>),
    /// Nothing is known of this position: to be judged by a head read that begins now (L6).
    Gap(LogPosition),
}

/// A chunk as it was read.
#[derive(Debug)]
struct Chunk {
    start: LogPosition,
    elements: Vec<Bytes>,
}

impl Chunk {
    fn parse(mut item: Item) -> StoreResult<Self> {
        let start = layout::take_string(&mut item, layout::SK)?;
        let start = start.parse().map_err(|_| layout::corrupt(format!("chunk key `{start}`")))?;
        Ok(Self { start: LogPosition(start), elements: layout::take_elements(&mut item, layout::ELEMENTS)? })
    }
}

/// Elements collected by position: chunks may overlap, and come in ascending order of their start.
struct Collector {
    next: LogPosition,
    end: LogPosition,
    elements: Vec<Element>,
}

impl Collector {
    fn is_complete(&self) -> bool {
        self.next >= self.end
    }

    /// Takes what is new in this chunk. False when the chunk begins after the next position: that one is missing.
    fn take(&mut self, chunk: &Chunk) -> StoreResult<bool> {
        if chunk.start > self.next {
            return Ok(false);
        }
        let known = usize::try_from(self.next.0.saturating_sub(chunk.start.0)).unwrap_or(usize::MAX);
        for bytes in chunk.elements.iter().skip(known) {
            if self.is_complete() {
                break;
            }
            self.elements.push(layout::decode_element(bytes)?);
            self.next = self.next.next();
        }
        Ok(true)
    }
}

impl LogTable {
    /// The elements at these positions, read strongly, in about one request per 64 KB or bucket.
    ///
    /// # Errors
    /// `Corrupt` for an item that is no chunk; those of any read.
    pub(crate) async fn read_chunks(&self, wanted: Range<LogPosition>) -> StoreResult<Rolled> {
        let mut collector = Collector { next: wanted.start, end: wanted.end, elements: Vec::new() };
        let Some(first) = self.chunk_holding(wanted.start).await? else {
            return Ok(Rolled::Gap(wanted.start));
        };
        collector.take(&first)?;
        let mut after = first.start;
        while !collector.is_complete() {
            let before = collector.next;
            // A chunk that starts after `after` lies in its bucket or, once that is exhausted, in the one of the next
            // position: chunks touch, so no bucket between the two is skipped.
            for bucket in layout::bucket(after)..=layout::bucket(before) {
                if let Some(gap) = self.collect_bucket(bucket, &mut after, &mut collector).await? {
                    return Ok(Rolled::Gap(gap));
                }
            }
            if collector.next == before {
                return Ok(Rolled::Gap(before));
            }
        }
        Ok(Rolled::Elements(collector.elements))
    }

    /// The chunk with the greatest start at or below this position (L6).
    async fn chunk_holding(&self, position: LogPosition) -> StoreResult<Option<Chunk>> {
        let bucket = layout::bucket(position);
        // The bucket before holds at most the chunk that reaches over the border.
        for bucket in [Some(bucket), bucket.checked_sub(1)].into_iter().flatten() {
            let query = self
                .query_bucket(bucket)
                .key_condition_expression("#pk = :pk AND #sk <= :sk")
                .expression_attribute_values(":sk", AttributeValue::S(layout::chunk_sk(position)))
                .scan_index_forward(false)
                .limit(1);
            let found = self.send_query(query).await?.items.into_iter().flatten().next();
            if let Some(item) = found {
                return Chunk::parse(item).map(Some);
            }
        }
        Ok(None)
    }

    /// Takes the chunks of a bucket that start after `after`, until the collector is complete; the gap, if there is one.
    async fn collect_bucket(
        &self,
        bucket: u64,
        after: &mut LogPosition,
        collector: &mut Collector,
    ) -> StoreResult<Option<LogPosition>> {
        let mut next_page = None;
        while !collector.is_complete() {
            let query = self
                .query_bucket(bucket)
                .key_condition_expression("#pk = :pk AND #sk BETWEEN :sk AND :end")
                .expression_attribute_values(":sk", AttributeValue::S(layout::chunk_sk(after.next())))
                .expression_attribute_values(":end", AttributeValue::S(layout::chunk_sk(collector.end)))
                .set_exclusive_start_key(next_page.take());
            let page = self.send_query(query).await?;
            for item in page.items.into_iter().flatten() {
                let chunk = Chunk::parse(item)?;
                if !collector.take(&chunk)? {
                    return Ok(Some(collector.next));
                }
                *after = chunk.start;
            }
            next_page = page.last_evaluated_key;
            if next_page.is_none() {
                break;
            }
        }
        Ok(None)
    }

    /// Chunks are always read strongly (L6).
    fn query_bucket(&self, bucket: u64) -> QueryFluentBuilder {
        let pk = layout::bucket_pk(self.incarnation, bucket);
        self.client
            .query()
            .table_name(&self.name)
            .consistent_read(true)
            .expression_attribute_names("#pk", layout::PK)
            .expression_attribute_names("#sk", layout::SK)
            .expression_attribute_values(":pk", AttributeValue::S(pk))
    }

    async fn send_query(&self, query: QueryFluentBuilder) -> StoreResult<QueryOutput> {
        query.send().await.map_err(|e| self.classify(e, Effect::Read, "read rolled elements"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use sluice_store::{Payload, StoreErrorKind};

    fn chunk(start: u64, count: u64) -> Chunk {
        let element = |sequence| Element { session: 1, sequence, payload: Payload::Inline(Bytes::new()) };
        let elements = (start..start + count).map(|p| layout::encode_element(&element(p)).into()).collect();
        Chunk { start: LogPosition(start), elements }
    }

    fn collect(wanted: Range<u64>, chunks: &[Chunk]) -> (bool, Vec<u64>) {
        let mut collector =
            Collector { next: LogPosition(wanted.start), end: LogPosition(wanted.end), elements: Vec::new() };
        let touching = chunks.iter().all(|chunk| collector.take(chunk).unwrap());
        (touching && collector.is_complete(), collector.elements.iter().map(|element| element.sequence).collect())
    }

    #[test]
    fn l6_overlapping_chunks_are_one_sequence() {
        let chunks = [chunk(10, 6), chunk(14, 5), chunk(16, 1), chunk(19, 3)];
        assert_eq!(collect(12..21, &chunks), (true, (12..21).collect()));
    }

    #[test]
    fn l6_a_gap_is_not_jumped() {
        assert_eq!(collect(10..20, &[chunk(10, 3), chunk(14, 9)]), (false, vec![10, 11, 12]));
        assert_eq!(collect(10..20, &[chunk(10, 3)]), (false, vec![10, 11, 12]));
        // The chunk with the greatest start is too short to hold the position.
        assert_eq!(collect(15..20, &[chunk(10, 3)]), (false, vec![]));
    }

    #[test]
    fn an_item_that_is_no_chunk_is_corrupt() {
        let item = |sk: &str, elements| {
            let mut item = Item::from([(layout::SK.into(), AttributeValue::S(sk.into()))]);
            item.insert(layout::ELEMENTS.into(), elements);
            item
        };
        assert!(Chunk::parse(item("00000000000000000001", AttributeValue::L(vec![]))).is_ok());
        for bad in [item("x", AttributeValue::L(vec![])), item("1", layout::number(1)), Item::new()] {
            assert_eq!(Chunk::parse(bad).unwrap_err().kind(), StoreErrorKind::Corrupt);
        }
    }
}
