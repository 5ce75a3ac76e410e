//! Kafka's command-line tools, typed as people type them, and what they must print.
//!
//! Promises: what is compared is what Apache Kafka 4.3.1 prints to the same arguments, without what differs from broker to
//! broker (ids, rates, settings of its own); each cell has topics of its own. Called by `client_matrix`.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Debug;
use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
use serde_json::Value;
use sluice_protocol::ErrorCode;
use sluice_tests::batches::{TIMESTAMP_MS, batch};
use sluice_tests::fleet::create_topic;
use sluice_tests::raw::RawClient;

use crate::Place;
use crate::programs::Program;

/// Longest that one run of a tool may take.
const DEADLINE: Duration = Duration::from_secs(60);
/// Records in the two partitions of the topics that tools look at.
const FILLED: [usize; 2] = [3, 5];

/// One tool, in one version of Kafka, in one place.
pub(crate) struct Shell<'a> {
    program: &'a mut Program,
    place: &'a Place,
    version: &'static str,
}

/// What a run printed.
struct Printed {
    code: String,
    out: Vec<String>,
    err: Vec<String>,
}

type Check = fn(&mut Shell<'_>) -> anyhow::Result<()>;

/// A tool: its name, the oldest version whose tool is tried, and the check.
pub(crate) struct Tool {
    pub(crate) name: &'static str,
    since: &'static str,
    check: Check,
}

/// The tools of 2.1 that speak to ZooKeeper are not tried.
pub(crate) static TOOLS: [Tool; 8] = [
    Tool { name: "kafka-topics", since: "2.8.2", check: topics },
    Tool { name: "kafka-configs", since: "2.8.2", check: configs },
    Tool { name: "kafka-get-offsets", since: "2.1.1", check: get_offsets },
    Tool { name: "kafka-delete-records", since: "2.1.1", check: delete_records },
    Tool { name: "kafka-log-dirs", since: "2.1.1", check: log_dirs },
    Tool { name: "kafka-broker-api-versions", since: "2.1.1", check: broker_api_versions },
    Tool { name: "kafka-producer-perf-test", since: "2.1.1", check: producer_perf_test },
    Tool { name: "kafka-consumer-perf-test", since: "2.1.1", check: consumer_perf_test },
];

impl Tool {
    /// Whether this version's is tried.
    pub(crate) fn is_tried(&self, version: &str) -> bool {
        parts(version) >= parts(self.since)
    }

    /// Types what people type, and compares.
    pub(crate) fn run(&self, program: &mut Program, place: &Place, version: &'static str) -> anyhow::Result<()> {
        (self.check)(&mut Shell { program, place, version })
    }
}

/// A broker outside tells of a change before all of it can be seen.
fn eventually(mut check: impl FnMut() -> anyhow::Result<()>) -> anyhow::Result<()> {
    let until = Instant::now() + Duration::from_secs(10);
    loop {
        let outcome = check();
        if outcome.is_ok() || Instant::now() > until {
            return outcome;
        }
    }
}

fn parts(version: &str) -> Vec<u32> {
    version.split('.').filter_map(|part| part.parse().ok()).collect()
}

impl Shell<'_> {
    fn is_since(&self, version: &str) -> bool {
        parts(self.version) >= parts(version)
    }

    /// A topic for nobody else. Without a period, of which kafka-topics would warn.
    fn topic(&self, name: &str) -> String {
        format!("{name}-{}-{}", self.place.run, self.version.replace('.', "-"))
    }

    fn run(&mut self, tool: &str, arguments: &[&str]) -> anyhow::Result<Printed> {
        let client = format!("java-{}", self.version);
        let answer = self.program.job(&[&["tool", &client, tool], arguments].concat(), DEADLINE);
        if let Some(error) = answer.error {
            anyhow::bail!("{tool} {arguments:?}: {error}\n{}", answer.stderr);
        }
        let lines = |kind: &str| {
            let of_kind = answer.lines.iter().filter(|line| line.first().is_some_and(|word| word == kind));
            of_kind.map(|line| line[1..].join("\t").trim_end().to_owned()).collect::<Vec<String>>()
        };
        let code = lines("exit").pop().unwrap_or_default();
        Ok(Printed { code, out: lines("out"), err: lines("err") })
    }

    /// Runs a tool with the bootstrap server; it must end with this code and print this, line by line.
    fn expect(&mut self, tool: &str, arguments: &[&str], code: &str, wanted: &[&str]) -> anyhow::Result<()> {
        let printed = self.with_server(tool, arguments)?;
        same(&format!("{tool} {arguments:?}"), &printed, code, &printed.out, &wanted)
    }

    fn with_server(&mut self, tool: &str, arguments: &[&str]) -> anyhow::Result<Printed> {
        // Before 3.0, this one took its servers as the producers did.
        let is_old = tool == "kafka-get-offsets" && !self.is_since("3.0.0");
        let option = if is_old { "--broker-list" } else { "--bootstrap-server" };
        let bootstrap = self.place.bootstrap.clone();
        self.run(tool, &[&[option, &bootstrap], arguments].concat())
    }

    /// A topic with two partitions, 3 records in the first and 5 in the second.
    fn filled(&self, name: &str) -> anyhow::Result<String> {
        let topic = self.topic(name);
        self.place.create(&[(&topic, 2)])?;
        let mut client = RawClient::connect(*self.place.gateways.first().context("a gateway")?);
        for (partition, count) in (0..).zip(FILLED) {
            let values = vec![&b"value"[..]; count];
            let code = client.produce(&topic, partition, &batch(&values)).error_code;
            ensure!(code == ErrorCode::NONE, "fill {topic}: {code:?}");
        }
        Ok(topic)
    }
}

fn same<F, W>(what: &str, printed: &Printed, code: &str, found: &F, wanted: &W) -> anyhow::Result<()>
where
    F: PartialEq<W> + Debug,
    W: Debug,
{
    let Printed { code: ended, out, err } = printed;
    let all = || format!("{}\n{}", out.join("\n"), err.join("\n"));
    ensure!(ended == code, "{what}: exit {ended}, not {code}\n{}", all());
    ensure!(found == wanted, "{what}:\n{found:#?}\nis not\n{wanted:#?}\n{}", all());
    Ok(())
}

// ---- kafka-topics -----------------------------------------------------------------------------------------------------

fn topics(shell: &mut Shell<'_>) -> anyhow::Result<()> {
    let topic = shell.topic("topics");
    let named = ["--topic", &topic];
    let create = [&["--create"], &named[..], &["--partitions", "3"]].concat();
    let set = ["--replication-factor", "1", "--config", "max.message.bytes=2000000", "--config", "retention.ms=-1"];
    shell.expect("kafka-topics", &[&create[..], &set].concat(), "0", &[&format!("Created topic {topic}.")])?;
    let exists = format!("Error while executing topic command : Topic '{topic}' already exists.");
    shell.expect("kafka-topics", &create, "1", &[&exists])?;
    shell.expect("kafka-topics", &[&create[..], &["--if-not-exists"]].concat(), "0", &[])?;
    let listed = shell.with_server("kafka-topics", &["--list"])?;
    ensure!(listed.out.contains(&topic), "--list does not show {topic}: {:?}", listed.out);

    eventually(|| described(shell, &topic, 3))?;
    let more = [&["--alter"], &named[..], &["--partitions", "4"]].concat();
    shell.expect("kafka-topics", &more, "0", &[])?;
    let fewer = [&["--alter"], &named[..], &["--partitions", "2"]].concat();
    let printed = shell.with_server("kafka-topics", &fewer)?;
    let would_not = format!("The topic {topic} currently has 4 partition(s); 2 would not be an increase.");
    let last = printed.out.last().map(|line| line.ends_with(&would_not));
    same("kafka-topics --alter with fewer partitions", &printed, "1", &last, &Some(true))?;
    eventually(|| described(shell, &topic, 4))?;

    shell.expect("kafka-topics", &[&["--delete"], &named[..]].concat(), "0", &[])?;
    eventually(|| {
        let printed = shell.with_server("kafka-topics", &[&["--describe"], &named[..]].concat())?;
        // 3.9 prints its own Optional[…] around the name.
        let gone = printed.out.last().map(|line| line.replace("Optional[", "").replace(']', ""));
        let wanted = format!("Error while executing topic command : Topic '{topic}' does not exist as expected");
        same("kafka-topics --describe after --delete", &printed, "1", &gone, &Some(wanted))
    })?;
    let listed = shell.with_server("kafka-topics", &["--list"])?;
    ensure!(!listed.out.contains(&topic), "--list still shows {topic}");
    Ok(())
}

fn described(shell: &mut Shell<'_>, topic: &str, partitions: usize) -> anyhow::Result<()> {
    let printed = shell.with_server("kafka-topics", &["--describe", "--topic", topic])?;
    let (mut ids, mut found) = (Vec::new(), Vec::new());
    for line in &printed.out {
        let mut fields = Vec::new();
        for field in line.split('\t').map(str::trim).filter(|f| !f.is_empty()) {
            match field.split_once(": ") {
                Some(("TopicId", id)) => ids.push(id.len()),
                // A broker's own settings are listed as well.
                Some(("Configs", set)) => {
                    let ours = set
                        .split(',')
                        .filter(|c| ["max.message.bytes", "retention.ms"].iter().any(|n| c.starts_with(n)));
                    let ours: BTreeSet<&str> = ours.collect();
                    fields.push(format!("Configs: {}", ours.into_iter().collect::<Vec<_>>().join(",")));
                }
                _ if field.starts_with("Elr:") || field.starts_with("LastKnownElr:") => {}
                _ => fields.push(field.to_owned()),
            }
        }
        found.push(fields.join(" "));
    }
    let mut wanted = vec![format!(
        "Topic: {topic} PartitionCount: {partitions} ReplicationFactor: 1 Configs: max.message.bytes=2000000,retention.ms=-1"
    )];
    wanted.extend((0..partitions).map(|p| format!("Topic: {topic} Partition: {p} Leader: 1 Replicas: 1 Isr: 1")));
    same("kafka-topics --describe", &printed, "0", &found, &wanted)?;
    ensure!(ids == [22], "a topic id of 22 characters: {ids:?}");
    Ok(())
}

// ---- kafka-configs ----------------------------------------------------------------------------------------------------

/// Settings whose default is the same everywhere, as `--all` shows them: name, value, and the source of the first
/// synonym, where there is one.
const DEFAULTS: [(&str, &str, &str); 10] = [
    ("cleanup.policy", "delete", "DEFAULT_CONFIG"),
    ("compression.type", "producer", "DEFAULT_CONFIG"),
    ("delete.retention.ms", "86400000", "DEFAULT_CONFIG"),
    ("max.message.bytes", "1048588", "DEFAULT_CONFIG"),
    ("message.timestamp.type", "CreateTime", "DEFAULT_CONFIG"),
    ("min.cleanable.dirty.ratio", "0.5", "DEFAULT_CONFIG"),
    ("retention.ms", "604800000", ""),
    ("segment.bytes", "1073741824", "DEFAULT_CONFIG"),
    ("segment.ms", "604800000", ""),
    ("unclean.leader.election.enable", "false", "DEFAULT_CONFIG"),
];

/// The settings that a run printed, by name: the value, and where it comes from first.
fn settings(printed: &Printed) -> BTreeMap<String, (String, String)> {
    let rows = printed.out.iter().filter_map(|line| {
        let (setting, rest) = line.trim().split_once(" sensitive=")?;
        let (name, value) = setting.split_once('=')?;
        let source = rest.split_once("synonyms={")?.1.split([':', '}']).next()?;
        Some((name.to_owned(), (value.to_owned(), source.to_owned())))
    });
    rows.collect()
}

fn set_here(printed: &Printed) -> BTreeMap<String, String> {
    let set = settings(printed).into_iter().filter(|(_, (_, source))| source == "DYNAMIC_TOPIC_CONFIG");
    set.map(|(name, (value, _))| (name, value)).collect()
}

fn configs(shell: &mut Shell<'_>) -> anyhow::Result<()> {
    let topic = shell.topic("configs");
    create_topic(*shell.place.gateways.first().context("a gateway")?, &topic, 1)?;
    let describe = ["--describe", "--topic", &topic];
    shell.expect("kafka-configs", &describe, "0", &[&format!("Dynamic configs for topic {topic} are:")])?;

    let printed = shell.with_server("kafka-configs", &[&describe[..], &["--all"]].concat())?;
    let all = settings(&printed);
    for (name, value, source) in DEFAULTS {
        let found = all.get(name).map(|(value, source)| (value.as_str(), source.as_str()));
        same(&format!("kafka-configs --all: {name}"), &printed, "0", &found, &Some((value, source)))?;
    }

    let done = format!("Completed updating config for topic {topic}.");
    let alter = ["--alter", "--topic", &topic];
    let add = ["--add-config", "max.message.bytes=3000000,cleanup.policy=[compact,delete]"];
    shell.expect("kafka-configs", &[&alter[..], &add].concat(), "0", &[&done])?;
    let printed = shell.with_server("kafka-configs", &describe)?;
    let wanted = [("cleanup.policy", "compact,delete"), ("max.message.bytes", "3000000")];
    let wanted = wanted.map(|(name, value)| (name.to_owned(), value.to_owned())).into();
    same("kafka-configs --describe", &printed, "0", &set_here(&printed), &wanted)?;
    let delete = ["--delete-config", "max.message.bytes,cleanup.policy"];
    shell.expect("kafka-configs", &[&alter[..], &delete].concat(), "0", &[&done])?;
    let printed = shell.with_server("kafka-configs", &describe)?;
    same("kafka-configs --describe after --delete-config", &printed, "0", &set_here(&printed), &BTreeMap::new())?;

    refused(shell, &alter, "nonsense=1", "InvalidConfigurationException: Unknown topic config name: nonsense")?;
    refused(shell, &alter, "max.message.bytes=many", "InvalidConfigurationException")?;
    refused(shell, &["--alter", "--topic", "no-such-topic"], "retention.ms=1", "UnknownTopicOrPartitionException")?;

    let dynamic = ["--describe", "--broker", "1"];
    shell.expect("kafka-configs", &dynamic, "0", &["Dynamic configs for broker 1 are:"])?;
    let printed = shell.with_server("kafka-configs", &[&dynamic[..], &["--all"]].concat())?;
    let all = settings(&printed);
    for (name, value) in [("auto.create.topics.enable", "true"), ("message.max.bytes", "1048588")] {
        let found = all.get(name).map(|(value, _)| value.as_str());
        same(&format!("kafka-configs --broker --all: {name}"), &printed, "0", &found, &Some(value))?;
    }
    Ok(())
}

fn refused(shell: &mut Shell<'_>, alter: &[&str], setting: &str, why: &str) -> anyhow::Result<()> {
    let printed = shell.with_server("kafka-configs", &[alter, &["--add-config", setting]].concat())?;
    let says_why = printed.err.iter().any(|line| line.contains(why));
    same(&format!("kafka-configs --add-config {setting}: {why}"), &printed, "1", &says_why, &true)
}

// ---- offsets, records, log dirs ---------------------------------------------------------------------------------------

fn get_offsets(shell: &mut Shell<'_>) -> anyhow::Result<()> {
    let topic = shell.filled("offsets")?;
    let all = ["--topic", &topic];
    let line = |partition: i32, offset: i64| format!("{topic}:{partition}:{offset}");
    let ends = [line(0, 3), line(1, 5)];
    let starts = [line(0, 0), line(1, 0)];
    let by_time = TIMESTAMP_MS.to_string();
    let after = (TIMESTAMP_MS + 1).to_string();
    let mut expect = |time: &[&str], wanted: &[String]| {
        // 2.1 prints in the order of a hash table.
        let printed = shell.with_server("kafka-get-offsets", &[&all[..], time].concat())?;
        let mut found = printed.out.clone();
        found.sort();
        same(&format!("kafka-get-offsets {time:?}"), &printed, "0", &found, &wanted.to_vec())
    };
    expect(&["--time", "-1"], &ends)?;
    expect(&["--time", "-2"], &starts)?;
    expect(&["--time", "-1", "--partitions", "1"], &ends[1..])?;
    let is_since_four = parts(shell.version) >= parts("4.0.0");
    let mut expect = |time: &[&str], wanted: &[String]| {
        let printed = shell.with_server("kafka-get-offsets", &[&all[..], time].concat())?;
        same(&format!("kafka-get-offsets {time:?}"), &printed, "0", &printed.out, &wanted.to_vec())
    };
    if is_since_four {
        expect(&["--time", "earliest"], &starts)?;
        expect(&["--time", "latest"], &ends)?;
        // Of records of one time, the first counts.
        expect(&["--time", "max-timestamp"], &starts)?;
        expect(&["--time", &by_time], &starts)?;
        expect(&["--time", &after], &[])?;
    }
    Ok(())
}

/// A file with the text, for one run.
fn file(text: &str) -> anyhow::Result<tempfile::NamedTempFile> {
    let file = tempfile::NamedTempFile::new()?;
    std::fs::write(file.path(), text)?;
    Ok(file)
}

fn delete_records(shell: &mut Shell<'_>) -> anyhow::Result<()> {
    let topic = shell.filled("records")?;
    let begin = ["Executing records delete operation", "Records delete operation completed:"];
    for (partition, offset, outcome) in [
        (0, 2, "low_watermark: 2"),
        (0, 1, "low_watermark: 2"),
        (1, -1, "low_watermark: 5"),
        (0, 4, "error: org.apache.kafka.common.errors.OffsetOutOfRangeException"),
    ] {
        let json = format!(
            r#"{{"partitions":[{{"topic":"{topic}","partition":{partition},"offset":{offset}}}],"version":1}}"#
        );
        let json = file(&json)?;
        let path = json.path().to_string_lossy().into_owned();
        let printed = shell.with_server("kafka-delete-records", &["--offset-json-file", &path])?;
        let mut found = printed.out.clone();
        if let Some(last) = found.last_mut() {
            let end = last.find("Exception:").map_or(last.len(), |at| at + "Exception".len());
            last.truncate(end);
        }
        let line = format!("partition: {topic}-{partition}\t{outcome}");
        same("kafka-delete-records", &printed, "0", &found, &[begin[0], begin[1], &line])?;
    }
    let printed = shell.with_server("kafka-get-offsets", &["--topic", &topic, "--time", "-2"])?;
    let mut found = printed.out.clone();
    found.sort();
    same(
        "the starts after kafka-delete-records",
        &printed,
        "0",
        &found,
        &[format!("{topic}:0:2"), format!("{topic}:1:5")],
    )
}

fn log_dirs(shell: &mut Shell<'_>) -> anyhow::Result<()> {
    let topic = shell.filled("dirs")?;
    let printed = shell.with_server("kafka-log-dirs", &["--describe", "--topic-list", &topic])?;
    let begin =
        ["Querying brokers for log directories information", "Received log directory information from brokers 1"];
    same("kafka-log-dirs", &printed, "0", &&printed.out[..printed.out.len().min(2)], &&begin[..])?;
    let text = printed.out.get(2).context("a description")?;
    let described: Value = serde_json::from_str(text)?;
    let brokers = described["brokers"].as_array().context("brokers")?;
    ensure!(brokers.len() == 1 && brokers[0]["broker"] == 1, "one broker, 1: {text}");
    let mut found = BTreeMap::new();
    for dir in brokers[0]["logDirs"].as_array().context("log dirs")? {
        ensure!(dir["error"].is_null(), "an error: {text}");
        for partition in dir["partitions"].as_array().context("partitions")? {
            ensure!(
                partition["offsetLag"] == 0 && partition["isFuture"] == false,
                "a lag, or a future replica: {text}"
            );
            let name = partition["partition"].as_str().context("a name")?;
            found.insert(name.to_owned(), partition["size"].as_u64().is_some_and(|size| size > 0));
        }
    }
    let wanted = [(format!("{topic}-0"), true), (format!("{topic}-1"), true)].into();
    same("the partitions of kafka-log-dirs", &printed, "0", &found, &wanted)
}

// ---- versions, perf ---------------------------------------------------------------------------------------------------

fn broker_api_versions(shell: &mut Shell<'_>) -> anyhow::Result<()> {
    let printed = shell.with_server("kafka-broker-api-versions", &[])?;
    let first = printed.out.first().map(String::as_str).unwrap_or_default();
    ensure!(first.starts_with(&format!("{} (id: 1 rack: null", shell.place.bootstrap)), "the broker: {first}");
    let mut found = BTreeMap::new();
    for line in printed.out.iter().map(|line| line.trim().trim_end_matches(',')) {
        let Some((name, versions)) = line.split_once("): ") else { continue };
        let key = name.rsplit_once('(').and_then(|(_, key)| key.parse::<i16>().ok()).context("a key")?;
        if versions != "UNSUPPORTED" {
            let range = versions.split(" [").next().unwrap_or_default();
            found.insert(key, range.to_owned());
        }
    }
    let wanted: BTreeMap<i16, String> = shell
        .place
        .apis
        .iter()
        .map(|(key, (min, max))| (*key, if min == max { min.to_string() } else { format!("{min} to {max}") }))
        .collect();
    same("kafka-broker-api-versions", &printed, "0", &found, &wanted)
}

fn producer_perf_test(shell: &mut Shell<'_>) -> anyhow::Result<()> {
    let topic = shell.topic("perf");
    create_topic(*shell.place.gateways.first().context("a gateway")?, &topic, 2)?;
    let bootstrap = shell.place.bootstrap.clone();
    let server = format!("bootstrap.servers={bootstrap}");
    // 4.2 renamed its options.
    let settings = if shell.is_since("4.2.0") {
        ["--bootstrap-server", &bootstrap, "--command-property", "acks=all"]
    } else {
        ["--producer-props", &server, "acks=all", "linger.ms=5"]
    };
    let records = ["--num-records", "500", "--record-size", "200", "--throughput", "-1"];
    let arguments = [&["--topic", &topic], &records[..], &settings].concat();
    let printed = shell.run("kafka-producer-perf-test", &arguments)?;
    let last = printed.out.last().and_then(|line| line.split(',').next());
    same("kafka-producer-perf-test", &printed, "0", &last, &Some("500 records sent"))?;
    let ends = sluice_tests::fleet::ends(*shell.place.gateways.last().context("a gateway")?, &topic, 2)?;
    ensure!(ends.values().sum::<i64>() == 500, "500 records were sent, and its partitions end at {ends:?}");
    Ok(())
}

fn consumer_perf_test(shell: &mut Shell<'_>) -> anyhow::Result<()> {
    let topic = shell.filled("consumed")?;
    let count = if shell.is_since("4.2.0") { "--num-records" } else { "--messages" };
    let option = if shell.is_since("2.5.0") { "--bootstrap-server" } else { "--broker-list" };
    let bootstrap = shell.place.bootstrap.clone();
    let printed = shell.run("kafka-consumer-perf-test", &[option, &bootstrap, "--topic", &topic, count, "8"])?;
    // start.time, end.time, data.consumed.in.MB, MB.sec, data.consumed.in.nMsg, …
    let line = printed.out.iter().rfind(|line| line.starts_with("20"));
    let read = line.and_then(|line| line.split(',').nth(4)).map(str::trim);
    same("kafka-consumer-perf-test", &printed, "0", &read, &Some("8"))
}
