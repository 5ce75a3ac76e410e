//! Gateways over one memory store, with faults and a clock of their own.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use sluice_embedded::{MemoryLog, MemoryObjectStore, MemoryOffsetsView};
use sluice_engine::{
    BlockCache, Defects, Engine, EngineError, EngineParts, EngineResult, FetchAsk, FetchCall, Fetched, Isolation,
    Limits, LruBlockCache, OffsetAsk, OffsetFound, OffsetSpec, ProduceAsk, ProduceCapabilities, Produced, Settings,
    TopicRef, TopicSelection,
};
use sluice_records::{BatchBuilder, BatchHeader, records};
use sluice_runtime::{SeededEntropy, SharedClock, SharedEntropy, TokioClock};
use sluice_store::{
    FaultControl, Faults, FaultyLog, FaultyObjectStore, Incarnation, MetadataLog, ObjectStore, OffsetsView,
};

/// One store that several gateways share.
pub struct Cluster {
    pub log: Arc<MemoryLog>,
    pub objects: Arc<MemoryObjectStore>,
    pub clock: SharedClock,
    pub view: Arc<MemoryOffsetsView>,
    /// Where gateways show committed offsets, if not in `view` itself.
    pub shown_in: Option<Arc<dyn OffsetsView>>,
    /// Planted in the gateways that are started from now on.
    pub defects: Defects,
    seeds: u64,
}

/// A gateway and what may befall its requests.
pub struct Gateway {
    pub engine: Engine,
    pub faults: Arc<FaultControl>,
}

impl Cluster {
    pub fn new() -> Self {
        // Bodies of their own for entries over 256 bytes, as on DynamoDB.
        let clock: SharedClock = Arc::new(TokioClock::starting_at(1_700_000_000_000));
        let objects = MemoryObjectStore::new(clock.clone());
        let log = MemoryLog::with_bodies_over(Incarnation(7), 256);
        Self {
            log,
            objects,
            clock,
            view: MemoryOffsetsView::new(),
            shown_in: None,
            defects: Defects::default(),
            seeds: 0,
        }
    }

    pub async fn gateway(&mut self) -> Gateway {
        self.gateway_with(Limits::default(), Settings::default()).await
    }

    pub async fn gateway_with(&mut self, limits: Limits, settings: Settings) -> Gateway {
        self.start(limits, settings, self.log.clone()).await
    }

    pub async fn start(&mut self, limits: Limits, settings: Settings, log: Arc<dyn MetadataLog>) -> Gateway {
        self.seeds += 1;
        let entropy: SharedEntropy = Arc::new(SeededEntropy::new(self.seeds));
        let faults = FaultControl::new(Faults::default(), Arc::new(SeededEntropy::new(1000 + self.seeds)));
        let objects: Arc<dyn ObjectStore> = self.objects.clone();
        let cache: Arc<dyn BlockCache> = LruBlockCache::new(limits.cache_bytes_max);
        let offsets_view = self.shown_in.clone().unwrap_or_else(|| self.view.clone());
        let parts = EngineParts {
            objects: Arc::new(FaultyObjectStore::new(objects, faults.clone())),
            log: Arc::new(FaultyLog::new(log, faults.clone())),
            offsets_view,
            cache,
            limits,
            settings,
            clock: self.clock.clone(),
            entropy,
            defects: self.defects,
        };
        let engine = Engine::start(parts, Duration::from_secs(10)).await.expect("the gateway starts");
        Gateway { engine, faults }
    }
}

pub fn topic(name: &str) -> TopicRef {
    TopicRef::Name(name.to_owned())
}

/// A batch of records whose values are given.
pub fn batch(values: &[&str]) -> Bytes {
    build(BatchBuilder::new(), values)
}

/// The same of an idempotent producer.
pub fn batch_of(producer_id: i64, epoch: i16, base_sequence: i32, values: &[&str]) -> Bytes {
    build(BatchBuilder::new().producer(producer_id, epoch, base_sequence), values)
}

fn build(mut builder: BatchBuilder, values: &[&str]) -> Bytes {
    for (index, value) in values.iter().enumerate() {
        builder.push(1_000 + index as i64, None, Some(value.as_bytes()), &[]);
    }
    builder.build().expect("a batch")
}

impl Gateway {
    pub async fn produce(&self, name: &str, partition: i32, records: Bytes) -> EngineResult<Produced> {
        self.produce_within(name, partition, records, Duration::from_secs(30)).await
    }

    pub async fn produce_within(
        &self,
        name: &str,
        partition: i32,
        records: Bytes,
        timeout: Duration,
    ) -> EngineResult<Produced> {
        let ask = ProduceAsk { topic: topic(name), partition, records: Some(records) };
        let pending = self
            .engine
            .submit_produce(vec![ask], ProduceCapabilities { zstd: true, message_sets: false }, timeout)
            .await;
        pending.wait().await.remove(0).outcome
    }

    pub async fn fetch(&self, name: &str, partition: i32, offset: i64) -> Fetched {
        self.fetch_waiting(name, partition, offset, Duration::ZERO).await
    }

    pub async fn fetch_waiting(&self, name: &str, partition: i32, offset: i64, max_wait: Duration) -> Fetched {
        let ask = FetchAsk {
            topic: topic(name),
            partition,
            offset,
            max_bytes: 1 << 20,
            leader_epoch: None,
            last_fetched_epoch: None,
        };
        self.engine.fetch(call(vec![ask], max_wait)).await.remove(0)
    }

    /// Every value from `offset` on, with its offset.
    pub async fn values(&self, name: &str, partition: i32, mut offset: i64) -> Vec<(i64, String)> {
        self.engine.barrier().await.unwrap();
        let mut values = Vec::new();
        loop {
            let fetched = self.fetch(name, partition, offset).await;
            assert!(fetched.error.is_none(), "{:?}", fetched.error);
            let read = decode(&fetched);
            let Some((last, _)) = read.last() else { return values };
            offset = last + 1;
            values.extend(read);
        }
    }

    pub async fn describe(&self, name: &str, auto_create: bool) -> Result<u32, EngineError> {
        let described = self.engine.describe_topics(TopicSelection::Some(vec![topic(name)]), auto_create).await?;
        described.into_iter().next().unwrap().1.map(|t| t.partitions)
    }

    pub async fn offset(&self, name: &str, spec: OffsetSpec) -> OffsetFound {
        let ask = OffsetAsk { topic: topic(name), partition: 0, spec, leader_epoch: None };
        self.engine.list_offsets(vec![ask], Isolation::ReadUncommitted).await.remove(0).unwrap()
    }
}

pub fn call(partitions: Vec<FetchAsk>, max_wait: Duration) -> FetchCall {
    FetchCall {
        partitions,
        min_bytes: 1,
        max_wait,
        max_bytes: 50 << 20,
        isolation: Isolation::ReadUncommitted,
        message_sets: None,
    }
}

/// Offsets and values of what a fetch brought, read as a client would: from the bytes alone.
pub fn decode(fetched: &Fetched) -> Vec<(i64, String)> {
    let mut bytes: Bytes = fetched.records.concat().into();
    let mut values = Vec::new();
    while !bytes.is_empty() {
        let header = BatchHeader::parse(&bytes).unwrap();
        let one = bytes.split_to(header.total_len());
        for record in records(&one, 1 << 20).unwrap() {
            let record = record.unwrap();
            let value = String::from_utf8(record.value.unwrap().to_vec()).unwrap();
            values.push((header.base_offset + i64::from(record.offset_delta), value));
        }
    }
    values
}

/// Offsets 0, 1, … with these values.
pub fn numbered(values: &[&str]) -> Vec<(i64, String)> {
    values.iter().enumerate().map(|(i, v)| (i as i64, (*v).to_owned())).collect()
}
