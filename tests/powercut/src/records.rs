//! A gateway over the disk stores: records produced by several clients at once, offsets committed.
//!
//! Promises, of every restart: the store opens and the gateway starts; every acknowledged record is at its offset with its
//! bytes, and so is every record that was read after an earlier restart; offsets are dense from 0; what was not acknowledged
//! is there whole, once, or not at all; what was told not to have happened never shows; no committed offset went back.
//! Called by [`crate::run`].

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::future::join_all;
use sluice_engine::{
    CommitAsk, CommitOffsetAsk, Defects, Engine, EngineError, EngineParts, FetchAsk, FetchCall, Isolation, Limits,
    Liveness, LruBlockCache, MemberClaim, OffsetFetchAsk, Origin, ProduceAsk, ProduceCapabilities, Settings,
    TopicDescription, TopicRef, TopicSelection,
};
use sluice_records::{BatchBuilder, BatchHeader, records};
use sluice_runtime::{SeededEntropy, SharedClock, SharedEntropy, SystemClock};
use sluice_store::{RetryLog, RetryObjectStore, RetryPolicy, TimeoutLog, TimeoutObjectStore, Timeouts};
use tokio::time::Instant;

use crate::disk::Disk;
use crate::ledger::{Checked, Ledger};
use crate::payload::{draw_len, number, payload};
use crate::run::{Life, Violation, open};
use crate::told::Told;

const TOPIC: &str = "t";
const PARTITIONS: u32 = 3;
const GROUPS: u8 = 2;
/// Longest that a start, a request or an end takes; far above what is needed, for machines that do other things.
const PATIENCE: Duration = Duration::from_secs(60);

/// Starts a gateway, compares what it has with what is known, and uses it.
///
/// # Errors
/// What is not as it was promised.
pub async fn live(life: &mut Life<'_>) -> Result<Checked, Violation> {
    let gateway = Gateway::start(life.disk, life.ledger.is_opened, life.rng.fork()).await?;
    let checked = gateway.check(life.ledger).await?;
    if life.works {
        for _ in 0..life.rng.usize(2..6) {
            gateway.work(life).await?;
        }
        if life.rng.bool() {
            gateway.engine.close(Duration::from_secs(2)).await;
        }
    }
    gateway.engine.abort();
    Ok(checked)
}

/// A gateway without sockets.
pub struct Gateway {
    /// Its engine.
    pub engine: Engine,
    disk: Disk,
}

struct Connected;

impl Liveness for Connected {
    fn is_gone(&self) -> bool {
        false
    }
}

impl Gateway {
    /// Starts one over the directory on this disk, put together as the binary does.
    ///
    /// # Errors
    /// When the directory does not open, or the gateway does not start.
    pub async fn start(disk: &Disk, is_opened: bool, rng: fastrand::Rng) -> Result<Self, Violation> {
        let clock: SharedClock = Arc::new(SystemClock);
        let entropy: SharedEntropy = Arc::new(SeededEntropy::new(rng.get_seed()));
        let stores = open(disk, is_opened, &clock, &entropy, rng)?;
        let objects = Arc::new(TimeoutObjectStore::new(stores.objects, Timeouts::OBJECTS));
        let log = Arc::new(TimeoutLog::new(stores.log, Timeouts::LOG));
        // Shown at once, so that the view's transactions meet the log's.
        let limits = Limits { view_linger: Duration::from_millis(3), ..Limits::default() };
        let parts = EngineParts {
            objects: Arc::new(RetryObjectStore::new(objects, RetryPolicy::default(), Arc::clone(&entropy))),
            log: Arc::new(RetryLog::new(log, RetryPolicy::default(), Arc::clone(&entropy))),
            offsets_view: stores.offsets,
            cache: LruBlockCache::new(limits.cache_bytes_max),
            limits,
            settings: Settings { default_partitions: PARTITIONS, ..Settings::default() },
            clock,
            entropy,
            defects: Defects::default(),
        };
        let engine = Engine::start(parts, PATIENCE).await;
        let engine = engine.map_err(|error| Violation(format!("the gateway does not start: {error}")))?;
        Ok(Self { engine, disk: disk.clone() })
    }

    /// Compares everything it has with what is known, and tells what it has: whoever read it may rely on it.
    ///
    /// # Errors
    /// What is not as it was promised.
    pub async fn check(&self, ledger: &Ledger) -> Result<Checked, Violation> {
        let mut checked = Checked::default();
        let Some(partitions) = self.partitions().await? else {
            let lost = ledger.records.len();
            return if lost == 0 {
                Ok(checked)
            } else {
                Err(Violation(format!("the topic of {lost} records is gone")))
            };
        };
        let mut ids = BTreeSet::new();
        for partition in 0..partitions {
            let found = self.read(partition).await?;
            check_partition(ledger, partition, &found, &mut ids, &mut checked)?;
            for (offset, id) in found {
                self.disk.tell(Told::Record { partition, offset, id });
            }
        }
        if let Some(id) = ids.intersection(&ledger.refused).next() {
            return Err(Violation(format!("record {id} was told not to have happened, and is there")));
        }
        self.check_committed(ledger, &mut checked).await?;
        Ok(checked)
    }

    async fn partitions(&self) -> Result<Option<i32>, Violation> {
        let described = self.engine.describe_topics(TopicSelection::Some(vec![topic()]), false).await;
        let described = described.map_err(|error| Violation(format!("topics cannot be described: {error}")))?;
        match described.into_iter().next().map(|(_, description)| description) {
            Some(Ok(TopicDescription { partitions, .. })) => Ok(Some(i32::try_from(partitions).unwrap())),
            Some(Err(EngineError::UnknownTopic)) => Ok(None),
            other => Err(Violation(format!("the topic cannot be described: {other:?}"))),
        }
    }

    /// All records of a partition: offset and number.
    async fn read(&self, partition: i32) -> Result<Vec<(i64, u64)>, Violation> {
        let mut found = Vec::new();
        loop {
            let offset = found.last().map_or(0, |(last, _)| last + 1);
            let ask = FetchAsk {
                topic: topic(),
                partition,
                offset,
                max_bytes: 1 << 20,
                leader_epoch: None,
                last_fetched_epoch: None,
            };
            let call = FetchCall {
                partitions: vec![ask],
                min_bytes: 1,
                max_wait: Duration::ZERO,
                max_bytes: 50 << 20,
                isolation: Isolation::ReadUncommitted,
                message_sets: None,
            };
            let fetched = self.engine.fetch(call).await.remove(0);
            if let Some(error) = fetched.error {
                return Err(Violation(format!("partition {partition} cannot be read at {offset}: {error}")));
            }
            let before = found.len();
            decode(&fetched.records.concat().into(), &mut found)
                .map_err(|what| Violation(format!("partition {partition} from {offset} on: {what}")))?;
            if found.len() == before {
                return Ok(found);
            }
        }
    }

    async fn check_committed(&self, ledger: &Ledger, checked: &mut Checked) -> Result<(), Violation> {
        for group in 0..GROUPS {
            let ask = OffsetFetchAsk { group_id: group_id(group), partitions: None };
            let fetched = self.engine.fetch_offsets(vec![ask]).await.remove(0);
            let fetched = fetched.map_err(|error| Violation(format!("offsets cannot be read: {error}")))?;
            let mut found = BTreeMap::new();
            for one in fetched {
                if let Ok(Some(offset)) = one.offset {
                    found.insert(one.partition, offset.offset);
                    let (partition, offset) = (one.partition, offset.offset);
                    self.disk.tell(Told::Committed { group, partition, offset });
                }
            }
            for (&(_, partition), &wanted) in ledger.committed.range((group, i32::MIN)..=(group, i32::MAX)) {
                let there = found.get(&partition).copied();
                if there.is_none_or(|there| there < wanted) {
                    let what =
                        format!("group {group}, partition {partition}: {wanted} was committed, {there:?} is there");
                    return Err(Violation(what));
                }
                checked.committed += 1;
            }
        }
        Ok(())
    }

    /// Some requests at the same time; every one of them must succeed.
    async fn work(&self, life: &mut Life<'_>) -> Result<(), Violation> {
        let produces: Vec<_> = (0..life.rng.usize(1..7)).map(|_| self.produce(life.draw_produce())).collect();
        let commits: Vec<_> = (0..life.rng.usize(..2)).map(|_| self.commit(life.draw_commit())).collect();
        let (produced, committed) = tokio::join!(join_all(produces), join_all(commits));
        produced.into_iter().chain(committed).collect()
    }

    async fn produce(&self, batches: Vec<Batch>) -> Result<(), Violation> {
        let answers = self.try_produce(batches, PATIENCE).await;
        let failed = |error| Violation(format!("a produce over a sound disk failed: {error}"));
        answers.into_iter().collect::<Result<(), _>>().map_err(failed)
    }

    /// Produces batches in one request, and tells what it was answered.
    pub async fn try_produce(&self, batches: Vec<Batch>, timeout: Duration) -> Vec<Result<(), EngineError>> {
        let asks = batches.iter().map(Batch::ask).collect();
        let pending =
            self.engine.submit_produce(asks, ProduceCapabilities { zstd: true, message_sets: false }, timeout).await;
        let answers: Vec<_> = pending.wait().await.into_iter().map(|answer| answer.outcome).collect();
        for (batch, answer) in batches.iter().zip(&answers) {
            for (index, &(id, _)) in (0..).zip(&batch.records) {
                match answer {
                    Ok(produced) => {
                        let (partition, offset) = (batch.partition, produced.base_offset + index);
                        self.disk.tell(Told::Record { partition, offset, id });
                    }
                    Err(EngineError::OutcomeUnknown(_)) => {}
                    // Any other error says that it did not happen.
                    Err(_) => self.disk.tell(Told::Refused { id }),
                }
            }
        }
        answers.into_iter().map(|answer| answer.map(|_| ())).collect()
    }

    async fn commit(&self, commit: Commit) -> Result<(), Violation> {
        let origin =
            Origin { connection: Arc::new(Connected), read_at: Instant::now(), gaps: self.engine.gaps().count() };
        let Commit { group, partition, offset } = commit;
        let offsets = vec![CommitOffsetAsk {
            topic: topic(),
            partition,
            offset,
            leader_epoch: -1,
            metadata: String::new(),
            committed_at_ms: None,
        }];
        let claim = MemberClaim { member_id: String::new(), instance_id: None, generation: -1 };
        let group_id = group_id(group);
        let ask = CommitAsk { group_id, claim, tells_unknown_group: false, retention: None, offsets };
        match self.engine.commit_offsets(&origin, ask).await.remove(0) {
            Ok(()) => self.disk.tell(Told::Committed { group, partition, offset }),
            // The first requests of all run beside the one that makes the topic.
            Err(EngineError::UnknownTopic) => {}
            Err(error) => return Err(Violation(format!("a commit over a sound disk failed: {error}"))),
        }
        Ok(())
    }
}

/// One partition as it was read, against what is known of it.
fn check_partition(
    ledger: &Ledger,
    partition: i32,
    found: &[(i64, u64)],
    ids: &mut BTreeSet<u64>,
    checked: &mut Checked,
) -> Result<(), Violation> {
    let mut wanted = ledger.records.range((partition, i64::MIN)..=(partition, i64::MAX)).peekable();
    for (expected, &(offset, id)) in (0..).zip(found) {
        if offset != expected {
            return Err(Violation(format!("partition {partition}: offset {offset} where {expected} is due")));
        }
        if !ids.insert(id) {
            return Err(Violation(format!("partition {partition}: record {id} is there twice")));
        }
        match wanted.next_if(|((_, at), _)| *at == offset) {
            Some((_, &known)) if known == id => checked.records += 1,
            Some((_, known)) => {
                let what =
                    format!("partition {partition}, offset {offset}: record {known} was promised, {id} is there");
                return Err(Violation(what));
            }
            None => checked.unacknowledged += 1,
        }
    }
    match wanted.next() {
        Some(((_, offset), id)) => {
            let end = found.len();
            Err(Violation(format!("partition {partition} ends at {end}: record {id} at {offset} was promised")))
        }
        None => Ok(()),
    }
}

/// A batch to be produced: numbers and lengths of its records.
#[derive(Debug, Clone)]
pub struct Batch {
    /// Where it goes.
    pub partition: i32,
    /// Its records: number and length.
    pub records: Vec<(u64, usize)>,
}

impl Batch {
    fn ask(&self) -> ProduceAsk {
        let mut builder = BatchBuilder::new();
        for &(id, len) in &self.records {
            builder.push(1_700_000_000_000, None, Some(&payload(id, len)), &[]);
        }
        ProduceAsk { topic: topic(), partition: self.partition, records: Some(builder.build().unwrap()) }
    }
}

/// An offset to be committed.
#[derive(Debug, Clone, Copy)]
pub struct Commit {
    group: u8,
    partition: i32,
    offset: i64,
}

impl Life<'_> {
    fn draw_partition(&mut self) -> i32 {
        self.rng.i32(0..i32::try_from(PARTITIONS).unwrap())
    }

    fn draw_produce(&mut self) -> Vec<Batch> {
        let batches = self.rng.usize(1..3);
        let mut drawn = Vec::with_capacity(batches);
        for _ in 0..batches {
            let partition = self.draw_partition();
            let records = (0..self.rng.usize(1..4)).map(|_| (self.next_number(), draw_len(self.rng))).collect();
            drawn.push(Batch { partition, records });
        }
        drawn
    }

    fn draw_commit(&mut self) -> Commit {
        // Numbers grow, so that no commit of this run is lower than an earlier one.
        let offset = i64::try_from(self.next_number()).unwrap();
        Commit { group: self.rng.u8(..GROUPS), partition: self.draw_partition(), offset }
    }
}

fn topic() -> TopicRef {
    TopicRef::Name(TOPIC.to_owned())
}

fn group_id(group: u8) -> String {
    format!("group-{group}")
}

/// The records of batches, read as a client would: from the bytes alone.
fn decode(bytes: &Bytes, found: &mut Vec<(i64, u64)>) -> Result<(), String> {
    let mut left = bytes.clone();
    while !left.is_empty() {
        let header = BatchHeader::parse(&left).map_err(|error| error.to_string())?;
        let one = left.split_to(header.total_len());
        for record in records(&one, 1 << 20).map_err(|error| error.to_string())? {
            let record = record.map_err(|error| error.to_string())?;
            let offset = header.base_offset + i64::from(record.offset_delta);
            let id = record.value.as_deref().and_then(number).ok_or(format!("what is at {offset} was never sent"))?;
            found.push((offset, id));
        }
    }
    Ok(())
}
