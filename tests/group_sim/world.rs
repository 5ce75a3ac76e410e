//! What all parts of a run share.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use sluice_protocol::messages::MetadataRequest;
use sluice_protocol::messages::metadata::MetadataRequestTopic;
use sluice_protocol::{KString, Uuid};

use crate::fleet::Fleet;
use crate::journal::Journal;
use crate::ledger::{Ledger, Place};
use crate::oracle::Oracle;
use crate::plan::Plan;

/// How many topics there are.
pub const TOPICS: usize = 2;
/// Partitions of each.
pub const PARTITIONS: i32 = 3;

/// A run's world.
pub struct World {
    pub journal: Arc<Journal>,
    pub fleet: Arc<Fleet>,
    pub ledger: Arc<Ledger>,
    pub oracle: Arc<Oracle>,
    pub plan: Plan,
    pub topic_ids: BTreeMap<usize, Uuid>,
    is_over: AtomicBool,
    /// How many processes pause now.
    pauses: AtomicUsize,
}

/// All places.
pub fn places() -> impl Iterator<Item = Place> {
    (0..TOPICS).flat_map(|topic| (0..PARTITIONS).map(move |partition| (topic, partition)))
}

pub fn topic_name(topic: usize) -> KString {
    KString::from(format!("topic-{topic}"))
}

pub fn topic_number(name: &str) -> Option<usize> {
    name.strip_prefix("topic-")?.parse().ok()
}

pub fn group_name(group: usize) -> String {
    format!("group-{group}")
}

pub fn group_number(name: &str) -> Option<usize> {
    name.strip_prefix("group-")?.parse().ok()
}

impl World {
    /// `is_calm`: there are no bad times.
    pub fn new(
        fleet: &Arc<Fleet>,
        oracle: &Arc<Oracle>,
        plan: &Plan,
        topic_ids: BTreeMap<usize, Uuid>,
        is_calm: bool,
    ) -> Arc<Self> {
        Arc::new(Self {
            journal: oracle.journal.clone(),
            fleet: fleet.clone(),
            ledger: oracle.ledger.clone(),
            oracle: oracle.clone(),
            plan: plan.clone(),
            topic_ids,
            is_over: AtomicBool::new(is_calm),
            pauses: AtomicUsize::new(0),
        })
    }

    /// The bad times are over: nobody has whims any more.
    pub fn end_chaos(&self) {
        self.is_over.store(true, Ordering::Relaxed);
    }

    pub fn is_over(&self) -> bool {
        self.is_over.load(Ordering::Relaxed)
    }

    /// A process does nothing for so long.
    pub async fn pause(&self, length: Duration) {
        let _paused = Paused::new(&self.pauses);
        tokio::time::sleep(length).await;
    }

    pub fn is_somebody_paused(&self) -> bool {
        self.pauses.load(Ordering::Relaxed) > 0
    }
}

/// Also ends when its process is killed.
struct Paused<'a>(&'a AtomicUsize);

impl<'a> Paused<'a> {
    fn new(count: &'a AtomicUsize) -> Self {
        count.fetch_add(1, Ordering::Relaxed);
        Self(count)
    }
}

impl Drop for Paused<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Makes the topics, and tells their ids.
pub async fn make_topics(fleet: &Fleet) -> BTreeMap<usize, Uuid> {
    let topic = |topic| MetadataRequestTopic { name: Some(topic_name(topic)), ..MetadataRequestTopic::default() };
    let topics = Some((0..TOPICS).map(topic).collect());
    let request = MetadataRequest { topics, allow_auto_topic_creation: true, ..MetadataRequest::default() };
    let (mut connection, _) = fleet.connect(0, "setup").await.expect("it runs");
    for _ in 0..100 {
        let answer = connection.request(12, &request, Duration::from_secs(30)).await.expect("a calm gateway answers");
        if answer.topics.iter().all(|told| told.error_code.is_none()) {
            return answer.topics.iter().enumerate().map(|(topic, told)| (topic, told.topic_id)).collect();
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    panic!("the topics cannot be made");
}
