//! One member of a consumer group on librdkafka: a process of the suites `groups` and `group_matrix`.
//!
//! Promises: what it processed is committed about every `--commit-ms`, on every revocation and at the end; each event is
//! one line of JSON on the standard output, with the microsecond in which it happened. A line `stop`, or the end of the
//! standard input, makes it leave; `pause MS` stops its polls. Never: exits because a gateway is away.
//! Called by `tests/support/members.rs`, which reads the lines.
#![allow(missing_docs)]

use std::collections::BTreeMap;
use std::io::{BufRead as _, Write as _};
use std::process::ExitCode;
use std::sync::mpsc::{Receiver, RecvTimeoutError, TryRecvError, sync_channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use clap::Parser;
use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer, ConsumerContext, Rebalance};
use rdkafka::error::KafkaResult;
use rdkafka::message::Message;
use rdkafka::types::RDKafkaErrorCode;
use rdkafka::{ClientConfig, ClientContext, Offset, TopicPartitionList};
use serde_json::{Value, json};

/// Longest that one poll waits.
const POLL: Duration = Duration::from_millis(50);
/// Records of a partition after which they are reported.
const CHUNK: i64 = 200;
/// Exit status of a member that was fenced.
const FENCED: u8 = 3;

#[derive(Debug, Parser)]
#[command(about = "One member of a consumer group on librdkafka")]
struct Arguments {
    #[arg(long)]
    bootstrap: String,
    #[arg(long)]
    group: String,
    #[arg(long)]
    topic: String,
    /// range, roundrobin or cooperative-sticky.
    #[arg(long, default_value = "range")]
    assignor: String,
    #[arg(long, default_value = "librdkafka")]
    client_id: String,
    #[arg(long)]
    instance_id: Option<String>,
    #[arg(long, default_value_t = 10_000)]
    session_ms: u64,
    #[arg(long, default_value_t = 200)]
    commit_ms: u64,
    #[arg(long, default_value = "earliest")]
    auto_offset_reset: String,
}

fn print(mut event: Value) {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    if let Value::Object(fields) = &mut event {
        fields.insert("at_us".to_owned(), json!(u64::try_from(now.as_micros()).unwrap_or(u64::MAX)));
    }
    let mut out = std::io::stdout().lock();
    // Nobody reads any more: the end of the standard input will say so.
    let _ = writeln!(out, "{event}").and_then(|()| out.flush());
}

/// What was processed and not yet said, and what was processed and not yet committed.
#[derive(Debug, Default)]
struct Progress {
    unsaid: BTreeMap<i32, (i64, i64)>,
    uncommitted: BTreeMap<i32, i64>,
    /// The last record of each partition since it was assigned.
    last: BTreeMap<i32, i64>,
}

impl Progress {
    /// Takes a record as processed.
    ///
    /// librdkafka notes where the application is only after a record has left its queue. A cooperative rebalance in
    /// between resumes one record too early, so that the same one comes twice: a race within this client, which is
    /// reported and otherwise ignored. Anything further back is not that race, and counts.
    fn add(&mut self, partition: i32, offset: i64) {
        if self.last.insert(partition, offset) == Some(offset) {
            print(json!({"event": "error", "message": format!("{partition}@{offset} came twice"), "fatal": false}));
            return;
        }
        if let Some((_, last)) = self.unsaid.get_mut(&partition)
            && *last + 1 == offset
        {
            *last = offset;
        } else {
            self.say(partition);
            self.unsaid.insert(partition, (offset, offset));
        }
        self.uncommitted.insert(partition, offset + 1);
        if self.unsaid.get(&partition).is_some_and(|(first, last)| last - first + 1 >= CHUNK) {
            self.say(partition);
        }
    }

    fn say(&mut self, partition: i32) {
        if let Some((first, last)) = self.unsaid.remove(&partition) {
            let count = last - first + 1;
            print(json!({"event": "records", "partition": partition, "first": first, "last": last, "count": count}));
        }
    }

    fn say_all(&mut self) {
        let partitions: Vec<i32> = self.unsaid.keys().copied().collect();
        partitions.into_iter().for_each(|partition| self.say(partition));
    }
}

#[derive(Clone)]
struct Context {
    topic: String,
    progress: Arc<Mutex<Progress>>,
}

impl Context {
    fn progress(&self) -> MutexGuard<'_, Progress> {
        self.progress.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Commits what was processed; reports it first, so that a commit never runs ahead of what is known to be done.
    fn commit(&self, consumer: &BaseConsumer<Self>) {
        let offsets = {
            let mut progress = self.progress();
            progress.say_all();
            std::mem::take(&mut progress.uncommitted)
        };
        if offsets.is_empty() {
            return;
        }
        let mut list = TopicPartitionList::new();
        for (partition, offset) in &offsets {
            if let Err(error) = list.add_partition_offset(&self.topic, *partition, Offset::Offset(*offset)) {
                print(json!({"event": "error", "message": error.to_string(), "fatal": true}));
            }
        }
        // An asynchronous commit would do, but its outcome does not reach the callback of this binding.
        if let Err(error) = consumer.commit(&list, CommitMode::Sync) {
            print(json!({"event": "error", "message": format!("commit: {error}"), "fatal": false}));
            self.keep(offsets);
        } else {
            let named: BTreeMap<String, i64> = offsets.into_iter().map(|(p, o)| (p.to_string(), o)).collect();
            print(json!({"event": "committed", "offsets": named}));
        }
    }

    /// What could not be committed is committed with what comes next.
    fn keep(&self, offsets: BTreeMap<i32, i64>) {
        let mut progress = self.progress();
        for (partition, offset) in offsets {
            let next = progress.uncommitted.entry(partition).or_insert(offset);
            *next = offset.max(*next);
        }
    }
}

impl ClientContext for Context {
    fn error(&self, error: rdkafka::error::KafkaError, reason: &str) {
        print(json!({"event": "error", "message": format!("{error}: {reason}"), "fatal": false}));
    }
}

impl ConsumerContext for Context {
    fn pre_rebalance(&self, consumer: &BaseConsumer<Self>, rebalance: &Rebalance<'_>) {
        match rebalance {
            Rebalance::Assign(list) => {
                let assigned = partitions(list);
                self.progress().last.retain(|partition, _| !assigned.contains(partition));
                print(json!({"event": "assigned", "partitions": assigned}));
            }
            Rebalance::Revoke(list) if consumer.assignment_lost() => {
                let mut progress = self.progress();
                progress.say_all();
                progress.uncommitted.clear();
                print(json!({"event": "lost", "partitions": partitions(list)}));
            }
            Rebalance::Revoke(list) => {
                self.commit(consumer);
                // A commit that failed must not follow the partitions to where they belong to somebody else.
                self.progress().uncommitted.clear();
                print(json!({"event": "revoked", "partitions": partitions(list)}));
            }
            Rebalance::Error(error) => {
                print(json!({"event": "error", "message": format!("rebalance: {error}"), "fatal": false}));
            }
        }
    }
}

fn partitions(list: &TopicPartitionList) -> Vec<i32> {
    let mut partitions: Vec<i32> = list.elements().iter().map(|e| e.partition()).collect();
    partitions.sort_unstable();
    partitions
}

fn connect(arguments: &Arguments, context: Context) -> KafkaResult<BaseConsumer<Context>> {
    let heartbeat_ms = (arguments.session_ms / 10).clamp(100, 1000);
    let mut config = ClientConfig::new();
    config
        .set("bootstrap.servers", &arguments.bootstrap)
        .set("group.id", &arguments.group)
        .set("client.id", &arguments.client_id)
        .set("partition.assignment.strategy", &arguments.assignor)
        .set("session.timeout.ms", arguments.session_ms.to_string())
        .set("heartbeat.interval.ms", heartbeat_ms.to_string())
        .set("max.poll.interval.ms", arguments.session_ms.max(60_000).to_string())
        .set("auto.offset.reset", &arguments.auto_offset_reset)
        .set("enable.auto.commit", "false")
        .set("enable.auto.offset.store", "false")
        .set("fetch.wait.max.ms", "100")
        .set("fetch.error.backoff.ms", "100")
        .set("coordinator.query.interval.ms", "1000")
        .set("topic.metadata.refresh.interval.ms", "5000")
        .set("reconnect.backoff.ms", "50")
        .set("reconnect.backoff.max.ms", "500");
    if let Some(id) = &arguments.instance_id {
        config.set("group.instance.id", id);
    }
    config.create_with_context(context)
}

/// The lines of the standard input, until its end.
fn listen() -> Receiver<String> {
    let (send, receive) = sync_channel(16);
    std::thread::spawn(move || {
        for line in std::io::stdin().lock().lines() {
            let Ok(line) = line else { break };
            if send.send(line).is_err() {
                break;
            }
        }
    });
    receive
}

/// Polls until it is told to stop.
fn run(arguments: &Arguments, consumer: &BaseConsumer<Context>, context: &Context) -> ExitCode {
    let told = listen();
    let commit_every = Duration::from_millis(arguments.commit_ms);
    let mut next_commit = Instant::now() + commit_every;
    loop {
        match told.try_recv() {
            Ok(line) if line.trim() == "stop" => return ExitCode::SUCCESS,
            Ok(line) => {
                let ms = line.trim().strip_prefix("pause ").and_then(|ms| ms.parse().ok()).unwrap_or(0);
                // Nobody polls meanwhile; an end of the input is seen when it is over.
                match told.recv_timeout(Duration::from_millis(ms)) {
                    Err(RecvTimeoutError::Timeout) => {}
                    Ok(_) | Err(RecvTimeoutError::Disconnected) => return ExitCode::SUCCESS,
                }
            }
            Err(TryRecvError::Disconnected) => return ExitCode::SUCCESS,
            Err(TryRecvError::Empty) => {}
        }
        match consumer.poll(POLL) {
            Some(Ok(message)) => context.progress().add(message.partition(), message.offset()),
            Some(Err(error)) => {
                let fenced = error.rdkafka_error_code() == Some(RDKafkaErrorCode::FencedInstanceId)
                    || consumer.client().fatal_error().is_some();
                print(json!({"event": "error", "message": error.to_string(), "fatal": fenced}));
                if fenced {
                    return ExitCode::from(FENCED);
                }
            }
            None => context.progress().say_all(),
        }
        if Instant::now() >= next_commit {
            context.commit(consumer);
            next_commit = Instant::now() + commit_every;
        }
    }
}

fn main() -> anyhow::Result<ExitCode> {
    let arguments = Arguments::parse();
    let context = Context { topic: arguments.topic.clone(), progress: Arc::default() };
    let consumer = connect(&arguments, context.clone())?;
    consumer.subscribe(&[&arguments.topic])?;
    let status = run(&arguments, &consumer, &context);
    context.commit(&consumer);
    // Its end revokes what it still owns, and leaves the group unless the member is static.
    drop(consumer);
    print(json!({"event": "closed"}));
    Ok(status)
}
