//! The end of a run: everything works again, everything is read, everything is judged.
//!
//! Promises: gateways that lived through the run and gateways that only replayed it say the same. The log itself is
//! replayed too: what each entry says of its writer's State must be what the replay comes to (L9, I-12).
//! Called by `run`.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use sluice_metadata::{Entry, Identity, Incarnation, Judgement, Position, SessionId, State, invariants};
use sluice_protocol::ErrorCode;
use sluice_protocol::messages::ProduceRequest;
use sluice_records::BatchBuilder;
use sluice_runtime::{Entropy, SeededEntropy};
use sluice_store::{Consistency, Element, LogPosition, MetadataLog, Payload, TailRead};

use crate::connection::{Connection, Lost};
use crate::fleet::SLOTS;
use crate::ledger::{Log, Outcome, Place};
use crate::reading::{Appetite, Reader};
use crate::world::{World, build_batch, places};

const WHO: &str = "end";
/// Longer than any packet lingers.
const LAST_PACKETS: Duration = Duration::from_secs(3);
const WHOLE: Appetite = Appetite { max_wait: Duration::ZERO, max_bytes: 1 << 20, partition_max_bytes: 1 << 20 };

/// Judges a run whose bad times are over and whose clients are done.
pub async fn run(world: &Arc<World>, entropy: &SeededEntropy) {
    tokio::time::sleep(LAST_PACKETS).await;
    // One that lived through it, one that has only replayed it.
    let fresh = usize::try_from(entropy.next_below(SLOTS as u64)).unwrap();
    world.fleet.kill(fresh);
    world.fleet.start(fresh).await;
    for slot in 0..SLOTS {
        if let Err(lost) = write_everywhere(world, slot).await {
            world.journal.violation(WHO, format_args!("writing through g{slot}: {lost:?}"));
        }
    }
    let mut logs = Vec::new();
    for slot in 0..SLOTS {
        match read_everything(world, slot).await {
            Ok(log) => logs.push(log),
            Err(lost) => world.journal.violation(WHO, format_args!("reading through g{slot}: {lost:?}")),
        }
    }
    if logs.windows(2).any(|pair| pair[0] != pair[1]) {
        world.journal.violation(WHO, "two gateways read different logs");
    }
    let Some(log) = logs.pop() else { return };
    for wrong in world.ledger.judge(&log) {
        world.journal.violation(WHO, wrong);
    }
    if let Err(wrong) = replay(world, &log).await {
        world.journal.violation(WHO, wrong);
    }
    for (place, values) in &log {
        world.journal.note(WHO, format_args!("{place:?} has {} records: {}", values.len(), values.join(" ")));
        world.journal.count_many("records in the end", values.len() as u64);
    }
}

async fn connect(world: &World, slot: usize) -> Result<Connection, Lost> {
    world.fleet.connect(slot).await.ok_or(Lost::Closed)
}

/// Availability: with nothing in the way, a batch for every place is taken at once, in one request.
async fn write_everywhere(world: &World, slot: usize) -> Result<(), Lost> {
    let mut connection = connect(world, slot).await?;
    let number = world.ledger.next_number();
    let mut batches = Vec::new();
    let mut sendings = Vec::new();
    for place in places() {
        let values = vec![format!("end-g{slot}-{place:?}")];
        batches.push((place, build_batch(BatchBuilder::new(), &values)));
        let batch = world.ledger.add_batch(place, values, None);
        sendings.push((batch, world.ledger.begin(batch, number)));
    }
    let request = world.produce_request(&batches, Duration::from_secs(10), -1);
    let answer = connection.request::<ProduceRequest>(12, &request, Duration::from_secs(11)).await?;
    let blocks: Vec<_> = answer.responses.iter().flat_map(|topic| &topic.partition_responses).collect();
    if blocks.len() != sendings.len() {
        world.journal.violation(WHO, "a partition was not answered");
    }
    for ((batch, attempt), block) in sendings.into_iter().zip(blocks) {
        if block.error_code == ErrorCode::NONE {
            world.ledger.settle(batch, attempt, Outcome::Acked(block.base_offset));
        } else {
            world
                .journal
                .violation(WHO, format_args!("nothing is wrong any more, and g{slot} says {}", block.error_code));
        }
    }
    Ok(())
}

/// Everything that a gateway has, from offset 0 to the end that ListOffsets tells.
async fn read_everything(world: &World, slot: usize) -> Result<Log, Lost> {
    let mut reader = Reader::open(world, WHO, connect(world, slot).await?, 11).await?;
    let mut log: Log = places().map(|place| (place, Vec::new())).collect();
    loop {
        let positions: BTreeMap<Place, i64> =
            log.iter().map(|(place, values)| (*place, i64::try_from(values.len()).unwrap())).collect();
        let all = reader.fetch(&positions, WHOLE).await?;
        if let Some((place, got)) = all.iter().find(|(_, got)| !got.code.is_none()) {
            world.journal.violation(WHO, format_args!("{place:?} cannot be read through g{slot}: {}", got.code));
            break;
        }
        if all.values().all(|got| got.values.is_empty()) {
            break;
        }
        for (place, got) in all {
            log.entry(place).or_default().extend(got.values);
        }
    }
    for place in places() {
        let (latest, read) = (reader.latest(place).await?, log[&place].len());
        if latest != i64::try_from(read).ok() {
            world.journal.violation(WHO, format_args!("g{slot} ends {place:?} at {latest:?}; {read} could be read"));
        }
    }
    Ok(log)
}

/// Replays the log from its first element, and compares.
async fn replay(world: &World, log: &Log) -> Result<(), String> {
    let mut state = State::new(Incarnation(world.fleet.log.incarnation().0));
    let mut hashes = BTreeMap::from([(state.known(), state.hash())]);
    let tail = world.fleet.log.read(LogPosition::ZERO, Consistency::Strong).await.map_err(|e| e.to_string())?;
    let TailRead::Tail(tail) = tail else { return Err("the log was trimmed".to_owned()) };
    world.journal.count_many("log elements", tail.elements.len() as u64);
    for element in tail.elements {
        apply(world, &mut state, &mut hashes, element).await?;
    }
    invariants::check(&state).map_err(|wrong| format!("{wrong:?}"))?;
    for topic in state.topics() {
        for (key, partition) in state.partitions().filter(|(key, _)| key.topic_id == topic.id) {
            let number = topic.name.rsplit('-').next().and_then(|number| number.parse().ok()).unwrap_or_default();
            let read = log.get(&(number, key.partition)).map_or(0, Vec::len);
            if i64::try_from(read).ok() != Some(partition.high_watermark()) {
                let end = partition.high_watermark();
                return Err(format!("{} {} ends at {end} in the log; {read} were read", topic.name, key.partition));
            }
        }
    }
    Ok(())
}

async fn apply(
    world: &World,
    state: &mut State,
    hashes: &mut BTreeMap<Position, u128>,
    element: Element,
) -> Result<(), String> {
    let position = state.known().next();
    let session = SessionId(Position::from_raw(element.session));
    let identity = (element.session != 0).then_some(Identity { session, sequence: element.sequence });
    let mut entry = None;
    if state.judge(identity) == Judgement::Accept {
        let bytes = match &element.payload {
            Payload::Inline(bytes) => bytes.clone(),
            Payload::Body(body) => world.fleet.log.read_body(body).await.map_err(|error| error.to_string())?,
        };
        entry = Some(Entry::decode(&bytes).map_err(|error| format!("position {position}: {error}"))?);
    } else {
        world.journal.count("log elements that are copies or zombies");
    }
    if let Some(Entry { known, hash_at_known, .. }) = &entry
        && hashes.get(known) != Some(hash_at_known)
    {
        return Err(format!("L9: the writer of {position} had another State at {known}"));
    }
    state.apply(position, identity, entry.as_ref()).map_err(|error| error.to_string())?;
    hashes.insert(position, state.hash());
    Ok(())
}
