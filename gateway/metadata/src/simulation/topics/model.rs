//! What must be answered to each command, by lists and maps that are searched from end to end.

use std::collections::{BTreeMap, BTreeSet};

use imbl::OrdMap;
use uuid::Uuid;

use crate::{
    BatchVerdict, Command, CommittedRun, ConfigResource, DeleteRecordsRun, DeletedRecords, ObjectId, Outcome,
    PartitionKey, PartitionsRefusal, Position, State,
};

type Checked = Result<(), String>;
type Pairs = BTreeMap<String, String>;

#[derive(Default)]
struct Partition {
    start: i64,
    end: i64,
    /// First offset, end offset and object of each extent, those that were forgotten too.
    extents: Vec<(i64, i64, ObjectId)>,
}

#[derive(Default)]
struct Set {
    pairs: Pairs,
    changed_at: Position,
}

#[derive(Default)]
pub(super) struct Model {
    topics: BTreeMap<Uuid, (String, Vec<Partition>)>,
    sets: BTreeMap<ConfigResource, Set>,
    emptied_at: Position,
    /// Extents that State has forgotten, by partition and object (I-04).
    gone: BTreeSet<(PartitionKey, ObjectId, u64)>,
}

fn ensure(truth: bool, broken: impl FnOnce() -> String) -> Checked {
    if truth { Ok(()) } else { Err(broken()) }
}

impl Model {
    /// Judges an outcome and follows it; answers what happened, by name.
    pub(super) fn judge(
        &mut self,
        position: Position,
        command: &Command,
        saw: Option<&OrdMap<String, String>>,
        outcome: &Outcome,
    ) -> Result<&'static str, String> {
        let unexpected = || format!("{command:?} was answered {outcome:?}");
        match command {
            Command::OpenSession { .. } => Ok("session opened"),
            Command::CreateTopic { topic_id, name, partitions, configs, .. } => {
                if let Some(existing) = self.topics.iter().find(|(_, (other, _))| other == name).map(|(id, _)| *id) {
                    ensure(*outcome == Outcome::TopicExists { topic_id: existing }, unexpected)?;
                    return Ok("topic exists");
                }
                let created = Outcome::TopicCreated { topic_id: *topic_id, partitions: *partitions };
                ensure(*outcome == created, unexpected)?;
                let list = (0..*partitions).map(|_| Partition::default()).collect();
                self.topics.insert(*topic_id, (name.clone(), list));
                let pairs = configs.iter().cloned().collect();
                self.sets.insert(ConfigResource::Topic(*topic_id), Set { pairs, changed_at: position });
                Ok("topic created")
            }
            Command::DeleteTopic { topic_id } => {
                self.sets.remove(&ConfigResource::Topic(*topic_id));
                let is_there = self.topics.remove(topic_id).is_some();
                ensure(is_there == (*outcome == Outcome::TopicDeleted { topic_id: *topic_id }), unexpected)?;
                Ok(if is_there { "topic deleted" } else { "topic not found" })
            }
            Command::AlterConfigs { resource, seen, configs } => {
                self.judge_alter(position, *resource, *seen, configs, saw.unwrap(), outcome)
            }
            Command::CreatePartitions { topic_id, count } => self.judge_partitions(*topic_id, *count, outcome),
            Command::Produce { object, runs, .. } => self.judge_produce(*object, runs, outcome),
            Command::DeleteRecords { runs } => self.judge_deletions(runs, outcome),
            other => Err(format!("{other:?} is not of this game")),
        }
    }

    /// T7: a set is replaced exactly when it still is what its proposer resolved the change on.
    fn judge_alter(
        &mut self,
        position: Position,
        resource: ConfigResource,
        seen: Position,
        configs: &[(String, String)],
        saw: &OrdMap<String, String>,
        outcome: &Outcome,
    ) -> Result<&'static str, String> {
        if let ConfigResource::Topic(topic_id) = resource
            && !self.topics.contains_key(&topic_id)
        {
            let refused = Outcome::ConfigsRefused(crate::ConfigRefusal::UnknownTopic);
            return ensure(*outcome == refused, || format!("{outcome:?} for no topic")).map(|()| "alter refused");
        }
        let emptied_at = self.emptied_at;
        let set = self.sets.entry(resource).or_default();
        let is_forgotten = matches!(resource, ConfigResource::Broker(_)) && set.pairs.is_empty();
        match outcome {
            Outcome::ConfigsAltered => {
                let saw: Pairs = saw.iter().map(|(name, value)| (name.clone(), value.clone())).collect();
                ensure(set.pairs == saw, || format!("T7: {resource:?} was {:?}, not {saw:?}", set.pairs))?;
                // Also when the values came back to what they were.
                ensure(set.changed_at <= seen, || format!("T7: {resource:?} changed after {seen}"))?;
                *set = Set { pairs: configs.iter().cloned().collect(), changed_at: position };
                let is_emptied = matches!(resource, ConfigResource::Broker(_)) && configs.is_empty();
                if is_emptied {
                    self.emptied_at = position;
                }
                Ok(if is_emptied { "broker emptied" } else { "altered" })
            }
            Outcome::ConfigsMoved { at } => {
                let expected = if is_forgotten { emptied_at } else { set.changed_at };
                ensure(*at == expected, || format!("T7: {resource:?} moved at {expected}, not at {at}"))?;
                ensure(*at != seen, || format!("T7: {resource:?} is as it was seen at {seen}"))?;
                let is_neighbour_s = set.changed_at < *at;
                Ok(if is_neighbour_s { "moved by a neighbour" } else { "moved" })
            }
            other => Err(format!("an AlterConfigs was answered {other:?}")),
        }
    }

    fn judge_partitions(&mut self, topic_id: Uuid, count: u32, outcome: &Outcome) -> Result<&'static str, String> {
        let list = self.topics.get_mut(&topic_id).map(|(_, list)| list);
        let current = list.as_ref().map(|list| u32::try_from(list.len()).unwrap());
        let (expected, what) = match current {
            None => (Outcome::PartitionsRefused(PartitionsRefusal::UnknownTopic), "grow refused"),
            Some(current) if count <= current => {
                (Outcome::PartitionsRefused(PartitionsRefusal::NotMore { current }), "grow not more")
            }
            Some(_) => (Outcome::PartitionsCreated { count }, "grown"),
        };
        ensure(*outcome == expected, || format!("{outcome:?} instead of {expected:?}"))?;
        if let Some(list) = list {
            list.resize_with(list.len().max(usize::try_from(count).unwrap()), Partition::default);
        }
        Ok(what)
    }

    /// I-02: whatever was deleted, offsets go on.
    fn judge_produce(
        &mut self,
        object: ObjectId,
        runs: &[CommittedRun],
        outcome: &Outcome,
    ) -> Result<&'static str, String> {
        let Outcome::Produced(verdicts) = outcome else {
            return Err(format!("a Produce was answered {outcome:?}"));
        };
        for (run, verdicts) in runs.iter().zip(verdicts) {
            let mut follows = false;
            for (batch, verdict) in run.batches.iter().zip(verdicts) {
                let Some(partition) = self.partition(run.topic_id, run.partition) else {
                    ensure(*verdict == BatchVerdict::UnknownPartition, || format!("{verdict:?} for no partition"))?;
                    continue;
                };
                let end = partition.end;
                let is_accepted = *verdict == BatchVerdict::Accepted { base_offset: end };
                ensure(is_accepted == (batch.records > 0), || format!("I-02: {verdict:?} at {end}"))?;
                if is_accepted {
                    partition.end += i64::from(batch.records);
                    let next = partition.end;
                    match partition.extents.last_mut().filter(|_| follows) {
                        Some((_, end, _)) => *end = next,
                        None => partition.extents.push((end, next, object)),
                    }
                }
                follows = is_accepted;
            }
        }
        Ok("produced")
    }

    fn judge_deletions(&mut self, runs: &[DeleteRecordsRun], outcome: &Outcome) -> Result<&'static str, String> {
        let mut expected = Vec::new();
        let mut what = "deleted nothing";
        for run in runs {
            expected.push(match self.partition(run.topic_id, run.partition) {
                None => DeletedRecords::UnknownPartition,
                Some(Partition { start, end, extents }) => {
                    let before = run.before_offset.unwrap_or(*end);
                    if (0..=*end).contains(&before) {
                        if before > *start {
                            let is_across = extents.iter().any(|(base, end, _)| *base < before && before < *end);
                            what = match before == *end {
                                true => "deleted all",
                                false if is_across => "deleted within an extent",
                                false => "deleted up to an extent",
                            };
                        }
                        *start = before.max(*start);
                        DeletedRecords::Deleted { log_start_offset: *start }
                    } else {
                        DeletedRecords::OutOfRange { log_start_offset: *start, high_watermark: *end }
                    }
                }
            });
        }
        let expected = Outcome::RecordsDeleted(expected);
        ensure(*outcome == expected, || format!("I-05: {outcome:?} instead of {expected:?}"))?;
        Ok(what)
    }

    fn partition(&mut self, topic_id: Uuid, partition: i32) -> Option<&mut Partition> {
        let (_, list) = self.topics.get_mut(&topic_id)?;
        list.get_mut(usize::try_from(partition).ok()?)
    }

    /// State holds what the model says, and has moved from what it was as it may.
    pub(super) fn agrees(&mut self, before: &State, after: &State, touched: &[PartitionKey]) -> Checked {
        ensure(after.topic_count() == self.topics.len(), || "another number of topics".to_owned())?;
        for (resource, set) in &self.sets {
            let configs = match resource {
                ConfigResource::Topic(id) => after.topic_by_id(*id).map(|topic| &topic.configs),
                ConfigResource::Cluster => Some(&after.cluster_configs().configs),
                ConfigResource::Broker(broker) => after.broker_configs(*broker).map(|set| &set.configs),
            };
            let is_equal = configs.into_iter().flatten().eq(&set.pairs);
            ensure(is_equal, || format!("{resource:?} has {configs:?}, not {:?}", set.pairs))?;
        }
        let mut moved = Vec::new();
        for (topic_id, (_, list)) in &self.topics {
            for (index, partition) in list.iter().enumerate() {
                let key = PartitionKey { topic_id: *topic_id, partition: i32::try_from(index).unwrap() };
                let found = after.partition(&key).ok_or_else(|| format!("{key:?} is missing"))?;
                let (start, end) = (found.log_start_offset(), found.high_watermark());
                ensure((start, end) == (partition.start, partition.end), || format!("{key:?} is at {start} to {end}"))?;
                let extents: Vec<_> =
                    found.extents_from(i64::MIN).map(|e| (e.base_offset, e.end_offset(), e.object)).collect();
                let left: Vec<_> = partition.extents.iter().filter(|(_, end, _)| *end > start).copied().collect();
                ensure(extents == left, || format!("I-04: {key:?} has {extents:?}, not {left:?}"))?;
                let was = before.partition(&key).map_or((0, 0), |p| (p.log_start_offset(), p.high_watermark()));
                ensure(was.0 <= start && was.1 <= end, || format!("I-05: {key:?} moved back from {was:?}"))?;
                if was != (start, end) {
                    moved.push(key);
                }
            }
        }
        ensure(touched == moved, || format!("{touched:?} was announced, {moved:?} moved"))?;
        self.nothing_comes_back(before, after)
    }

    /// I-04: once unreferenced, never referenced again.
    fn nothing_comes_back(&mut self, before: &State, after: &State) -> Checked {
        let referenced = |state: &State| -> BTreeSet<_> {
            let of = |(key, partition): (&PartitionKey, &std::sync::Arc<crate::Partition>)| {
                let key = *key;
                partition.extents_from(i64::MIN).map(|e| (key, e.object, e.start)).collect::<Vec<_>>()
            };
            state.partitions().flat_map(of).collect()
        };
        let now = referenced(after);
        self.gone.extend(referenced(before).difference(&now).copied());
        let back = now.intersection(&self.gone).next();
        ensure(back.is_none(), || format!("I-04: {back:?} is referenced again"))
    }
}
