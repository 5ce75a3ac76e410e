//! Fetch and ListOffsets as a reader sends them, and what every answer must keep.
//!
//! Promises: an answer's batches are decoded from their bytes alone, their CRCs checked. What is checked of each answer:
//! the values follow each other without a gap from the offset asked for, stay below the high watermark, and what was seen
//! once at an offset is seen there for ever; the high watermark never goes back on a connection, and a new connection
//! finds whatever was acknowledged before (T5).
//! Called by the consumers and the finale.

use std::collections::BTreeMap;
use std::time::Duration;

use bytes::Bytes;
use sluice_protocol::ErrorCode;
use sluice_protocol::messages::fetch::{FetchPartition, FetchTopic, PartitionData};
use sluice_protocol::messages::list_offsets::{ListOffsetsPartition, ListOffsetsTopic};
use sluice_protocol::messages::{FetchRequest, ListOffsetsRequest};
use sluice_records::{BatchHeader, PatchPlan, records, take_batches};

use crate::connection::{Connection, Lost};
use crate::ledger::Place;
use crate::world::{PATIENCE, PATIENCE_WITH_READS, World, topic_name};

/// Fetch by topic id.
const FETCH_BY_ID: i16 = 13;

/// A reader's way to one gateway.
pub struct Reader<'a> {
    world: &'a World,
    who: &'a str,
    connection: Connection,
    version: i16,
    /// The last high watermarks told on it.
    high_watermarks: BTreeMap<Place, i64>,
    /// What was acknowledged before the first request on the connection: all of it is found on it (T5).
    acked_before: BTreeMap<Place, i64>,
}

/// What a fetch of one place gave.
pub struct Got {
    pub code: ErrorCode,
    pub high_watermark: i64,
    pub values: Vec<String>,
}

/// How much a fetch asks for.
#[derive(Clone, Copy)]
pub struct Appetite {
    pub max_wait: Duration,
    pub max_bytes: i32,
    pub partition_max_bytes: i32,
}

impl<'a> Reader<'a> {
    /// Takes a new connection, and learns the topics where the version needs it.
    pub async fn open(
        world: &'a World,
        who: &'a str,
        mut connection: Connection,
        mut version: i16,
    ) -> Result<Self, Lost> {
        let acked_before = world.ledger.acked_ends();
        if version >= FETCH_BY_ID {
            let asked = world.learn_topic_ids(who, &mut connection, 12).await;
            if !asked.inspect_err(|lost| world.note_lost(who, &connection, *lost))? {
                version = FETCH_BY_ID - 1;
            }
        }
        world.journal.note(who, format_args!("reads through {}, v{version}", connection.gateway()));
        Ok(Self { world, who, connection, version, high_watermarks: BTreeMap::new(), acked_before })
    }

    fn violation(&self, what: impl std::fmt::Display) {
        let gateway = self.connection.gateway();
        self.world.journal.violation(self.who, format_args!("{gateway}: {what}"));
    }

    fn note_lost(&self, lost: Lost) {
        self.world.note_lost(self.who, &self.connection, lost);
    }

    /// Reads each place from its position.
    pub async fn fetch(
        &mut self,
        positions: &BTreeMap<Place, i64>,
        appetite: Appetite,
    ) -> Result<BTreeMap<Place, Got>, Lost> {
        let request = self.request(positions, appetite);
        let known: Vec<bool> = positions.keys().map(|(topic, _)| self.world.is_known(*topic)).collect();
        let answer = self.connection.request(self.version, &request, appetite.max_wait + PATIENCE_WITH_READS).await;
        let answer = answer.inspect_err(|lost| self.note_lost(*lost))?;
        let blocks: Vec<&PartitionData> = answer.responses.iter().flat_map(|topic| &topic.partitions).collect();
        if !answer.error_code.is_none() || blocks.len() != positions.len() {
            self.violation(format_args!("a Fetch was answered with {} and {} blocks", answer.error_code, blocks.len()));
            return Ok(BTreeMap::new());
        }
        let mut all = BTreeMap::new();
        for (((place, position), block), known) in positions.iter().zip(blocks).zip(known) {
            let got = self.check(*place, *position, block, known);
            let least = self.acked_before.get(place).copied().filter(|_| got.code.is_none());
            if least.is_some_and(|least| got.high_watermark < least) {
                let found = got.high_watermark;
                self.violation(format_args!(
                    "T5: {place:?} ends at {found} and {least:?} were acked before its connection"
                ));
            }
            all.insert(*place, got);
        }
        self.check_progress(positions, &all);
        Ok(all)
    }

    fn request(&self, positions: &BTreeMap<Place, i64>, appetite: Appetite) -> FetchRequest {
        let topic = |((topic, partition), position): (&Place, &i64)| FetchTopic {
            topic: topic_name(*topic),
            topic_id: self.world.topic_id(*topic),
            partitions: vec![FetchPartition {
                partition: *partition,
                fetch_offset: *position,
                partition_max_bytes: appetite.partition_max_bytes,
                ..FetchPartition::default()
            }],
        };
        FetchRequest {
            max_wait_ms: i32::try_from(appetite.max_wait.as_millis()).unwrap(),
            min_bytes: 1,
            max_bytes: appetite.max_bytes,
            session_epoch: -1,
            topics: positions.iter().map(topic).collect(),
            ..FetchRequest::default()
        }
    }

    fn check(&mut self, place: Place, position: i64, block: &PartitionData, is_known: bool) -> Got {
        let code = block.error_code;
        let mut got = Got { code, high_watermark: block.high_watermark, values: Vec::new() };
        match code {
            ErrorCode::NONE => {}
            // It could not be decided or read now.
            ErrorCode::KAFKA_STORAGE_ERROR => {
                self.world.journal.count("fetches that failed for now");
                return got;
            }
            ErrorCode::UNKNOWN_TOPIC_OR_PARTITION if !is_known => return got,
            _ => {
                self.violation(format_args!("{place:?} at {position}: {code}"));
                return got;
            }
        }
        let before = self.high_watermarks.insert(place, block.high_watermark).unwrap_or_default();
        if block.high_watermark < before {
            self.violation(format_args!("I-05: {place:?} ended at {before} and now at {}", block.high_watermark));
        }
        match decode(block) {
            Err(wrong) => self.violation(format_args!("{place:?} at {position}: {wrong}")),
            Ok(decoded) => {
                let wanted = decoded.into_iter().filter(|(offset, _)| *offset >= position);
                for ((offset, value), expected) in wanted.zip(position..) {
                    self.check_value(place, (offset, expected), block.high_watermark, &value);
                    got.values.push(value);
                }
            }
        }
        got
    }

    fn check_value(&self, place: Place, (offset, expected): (i64, i64), high_watermark: i64, value: &str) {
        self.world.journal.count("records read");
        if offset != expected {
            self.violation(format_args!("I-02: {place:?} has a gap: {offset} came where {expected} was due"));
        }
        if offset >= high_watermark {
            self.violation(format_args!("{place:?} offset {offset} is at or above the end {high_watermark}"));
        }
        if let Err(wrong) = self.world.ledger.see(place, offset, value) {
            self.violation(wrong);
        }
    }

    /// When there is something to read and nothing stands in the way, something is read: the first batch comes whole.
    fn check_progress(&self, positions: &BTreeMap<Place, i64>, all: &BTreeMap<Place, Got>) {
        let has_more = all.iter().any(|(place, got)| got.high_watermark > positions[place]);
        let is_smooth = all.values().all(|got| got.code.is_none());
        let stopping = !self.world.fleet.is_running(self.connection.slot, self.connection.generation);
        if has_more && is_smooth && !stopping && all.values().all(|got| got.values.is_empty()) {
            self.violation("a Fetch brought nothing of what there is");
        }
    }

    /// The end of a place, as ListOffsets tells it.
    pub async fn latest(&mut self, place: Place) -> Result<Option<i64>, Lost> {
        let partition =
            ListOffsetsPartition { partition_index: place.1, timestamp: -1, ..ListOffsetsPartition::default() };
        let topics = vec![ListOffsetsTopic { name: topic_name(place.0), partitions: vec![partition] }];
        let request = ListOffsetsRequest { replica_id: -1, topics, ..ListOffsetsRequest::default() };
        let (least, is_known) = (self.world.ledger.acked_ends().get(&place).copied(), self.world.is_known(place.0));
        let version = self.version.clamp(1, 11);
        let answer = self.connection.request(version, &request, PATIENCE).await;
        let answer = answer.inspect_err(|lost| self.note_lost(*lost))?;
        let Some(block) = answer.topics.first().and_then(|topic| topic.partitions.first()) else {
            self.violation("ListOffsets was not answered");
            return Ok(None);
        };
        match block.error_code {
            ErrorCode::NONE => {
                if block.offset < least.unwrap_or_default() {
                    let found = block.offset;
                    self.violation(format_args!("T5: ListOffsets ends {place:?} at {found}; {least:?} were acked"));
                }
                Ok(Some(block.offset))
            }
            ErrorCode::KAFKA_STORAGE_ERROR => Ok(None),
            ErrorCode::UNKNOWN_TOPIC_OR_PARTITION if !is_known => Ok(None),
            code => {
                self.violation(format_args!("ListOffsets of {place:?} was answered with {code}"));
                Ok(None)
            }
        }
    }
}

/// Offsets and values in a block, read as a client would.
fn decode(block: &PartitionData) -> Result<Vec<(i64, String)>, String> {
    let mut left: Bytes = block.records.as_ref().map(|rope| rope.to_bytes()).unwrap_or_default();
    let mut values = Vec::new();
    while !left.is_empty() {
        let header = BatchHeader::parse(&left).map_err(|error| error.to_string())?;
        if header.total_len() > left.len() {
            return Err(format!("a batch of {} bytes was cut to {}", header.total_len(), left.len()));
        }
        let one = left.split_to(header.total_len());
        // Takes the batch apart with its CRC checked; what comes out is not needed.
        let plan = PatchPlan {
            check_crc: true,
            ..PatchPlan::whole(header.base_offset, u64::try_from(header.record_count).unwrap_or_default())
        };
        take_batches(std::slice::from_ref(&one), &plan).map_err(|error| error.to_string())?;
        for record in records(&one, 1 << 20).map_err(|error| error.to_string())? {
            let record = record.map_err(|error| error.to_string())?;
            let value = record.value.unwrap_or_default();
            let text = String::from_utf8(value.to_vec()).map_err(|error| error.to_string())?;
            values.push((header.base_offset + i64::from(record.offset_delta), text));
        }
    }
    Ok(values)
}
