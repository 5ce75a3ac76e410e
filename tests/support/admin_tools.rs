//! The tools that administer groups, typed as people type them: `kafka-consumer-groups` of two versions of Kafka, the
//! admin calls of two Python libraries, bare `kcat -G`, deleted topics, and the view that lag is computed from.
//!
//! Promises: numbers and states are compared, never the layout, which differs between versions; every cell has gateways
//! of its own, so that "all groups" are its own. Called by the program `group_matrix`.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Debug;
use std::fs;
use std::io::{BufRead as _, BufReader, Read as _};
use std::net::SocketAddr;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, sync_channel};
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail, ensure};
use sluice_protocol::messages::OffsetCommitRequest;
use sluice_protocol::messages::offset_commit::{OffsetCommitRequestPartition, OffsetCommitRequestTopic};
use sluice_protocol::{ErrorCode, KString};
use sluice_records::BatchBuilder;

use crate::batches::batch;
use crate::company::unique;
use crate::fleet::{self, Fleet, Kind};
use crate::group_lag::lag_for_people;
use crate::group_tools::{have_kafka, have_kcat, is_committed_to_the_end, kafka, run};
use crate::members::{Journal, Library, Member, Membership, now_us, owners};
use crate::process::pause;
use crate::raw::RawClient;
use crate::replicas::{Place, Store, emulator_is_there};

/// A cell: its name, what it takes, and what it does.
pub type AdminCell = (&'static str, fn() -> anyhow::Result<()>, fn() -> anyhow::Result<String>);

/// Everything here.
pub const CELLS: [AdminCell; 9] = [
    ("memory x3: kafka-consumer-groups 4.3.1", have_kafka_and_python, || consumer_groups("4.3.1")),
    ("memory x3: kafka-consumer-groups 2.8.2", have_kafka_and_python, || consumer_groups("2.8.2")),
    ("memory x3: kafka-topics --delete, and the offsets", have_kafka, deleted_topic),
    ("s3+dynamodb x3: lag from the view and from /metrics", have_python_and_emulator, lag_for_people),
    ("memory x3: kcat -G, bare", have_kcat, bare_kcat),
    ("memory x1: admin calls of kafka-python", have_python, || admin_calls("admin.py", 1)),
    ("memory x3: admin calls of kafka-python", have_python, || admin_calls("admin.py", 3)),
    ("memory x1: admin calls of confluent-kafka", have_python, || admin_calls("admin_confluent.py", 1)),
    ("memory x3: admin calls of confluent-kafka", have_python, || admin_calls("admin_confluent.py", 3)),
];

const PARTITIONS: i32 = 3;
/// Records of each partition that are years old, and those that are of now.
const OLD: i64 = 60;
const NEW: i64 = 40;
/// Those that come while the members are paused.
const LATE: i64 = 5;
/// A time between the old records (`batches::TIMESTAMP_MS`) and the new ones, as the tools take it: in UTC.
const BETWEEN: &str = "2024-06-01T00:00:00.000";
/// Longest until something that clients do by themselves is there.
const PATIENCE: Duration = Duration::from_secs(60);

fn have_python() -> anyhow::Result<()> {
    python().map(drop)
}

fn have_kafka_and_python() -> anyhow::Result<()> {
    have_python().and_then(|()| have_kafka())
}

fn have_python_and_emulator() -> anyhow::Result<()> {
    have_python()?;
    ensure!(emulator_is_there(), "the store emulator is not to be had");
    Ok(())
}

/// The interpreter that has the pinned clients.
pub(crate) fn python() -> anyhow::Result<String> {
    let words = Library::KafkaPython.command().context("the Python clients are not to be had")?;
    words.into_iter().next().context("an interpreter")
}

fn fleet_of(kind: Kind) -> anyhow::Result<Fleet> {
    Fleet::start(kind).with_context(|| format!("{} is not to be had", kind.name()))
}

/// The rows of the tables that a tool printed, by the names of their columns.
pub(crate) fn rows(out: &str) -> Vec<BTreeMap<String, String>> {
    let (mut names, mut rows) = (Vec::new(), Vec::new());
    for line in out.lines() {
        let words: Vec<&str> = line.split_whitespace().collect();
        match words.first() {
            None => names.clear(),
            Some(&("GROUP" | "TOPIC")) => names = words,
            Some(_) if names.is_empty() => {}
            Some(_) => {
                // 2.8.2 leaves the assignor of an empty group blank.
                let is_blank = |name: &str| words.len() < names.len() && name == "ASSIGNMENT-STRATEGY";
                let mut row = BTreeMap::new();
                for (name, word) in names.iter().filter(|n| !is_blank(n)).zip(&words) {
                    row.entry((*name).to_owned()).or_insert_with(|| (*word).to_owned());
                }
                rows.push(row);
            }
        }
    }
    rows
}

/// Some columns of the rows of one group.
fn columns<const N: usize>(out: &str, group: &str, names: [&str; N]) -> BTreeSet<[String; N]> {
    let of_group = |row: &BTreeMap<String, String>| row.get("GROUP").is_some_and(|g| g == group);
    let pick = |row: BTreeMap<String, String>| names.map(|name| row.get(name).cloned().unwrap_or_default());
    rows(out).into_iter().filter(of_group).map(pick).collect()
}

pub(crate) fn words<const N: usize>(words: [&str; N]) -> [String; N] {
    words.map(ToOwned::to_owned)
}

pub(crate) fn same<T: PartialEq + Debug>(what: &str, found: &T, wanted: &T) -> anyhow::Result<()> {
    ensure!(found == wanted, "{what}: {found:?}, not {wanted:?}");
    Ok(())
}

fn becomes<T: PartialEq + Debug>(
    what: &str,
    wanted: &T,
    mut look: impl FnMut() -> anyhow::Result<T>,
) -> anyhow::Result<()> {
    let until = Instant::now() + PATIENCE;
    loop {
        let found = look()?;
        if found == *wanted {
            return Ok(());
        }
        ensure!(Instant::now() < until, "{what}: still {found:?}, not {wanted:?}, after {PATIENCE:?}");
        pause();
    }
}

/// Appends so many records of this moment.
fn append_now(fleet: &Fleet, topic: &str, partition: i32, count: i64) -> anyhow::Result<()> {
    let now_ms = i64::try_from(now_us() / 1000)?;
    let mut builder = BatchBuilder::new();
    for n in 0..count {
        builder.push(now_ms, None, Some(format!("new {n}").as_bytes()), &[]);
    }
    let code = RawClient::connect(fleet.bootstrap()).produce(topic, partition, &builder.build()?).error_code;
    ensure!(code == ErrorCode::NONE, "produce to {topic}-{partition}: {code:?}");
    Ok(())
}

/// A topic whose partitions have `OLD` old records and then `NEW` new ones.
fn create_topic_of_two_times(fleet: &Fleet, topic: &str, partitions: i32) -> anyhow::Result<()> {
    fleet::create_topic(fleet.gateways()[0], topic, partitions)?;
    let old = vec![&b"old"[..]; usize::try_from(OLD)?];
    for partition in 0..partitions {
        let code = RawClient::connect(fleet.bootstrap()).produce(topic, partition, &batch(&old)).error_code;
        ensure!(code == ErrorCode::NONE, "produce to {topic}-{partition}: {code:?}");
        append_now(fleet, topic, partition, NEW)?;
    }
    Ok(())
}

/// Commits as those do who are no member.
pub(crate) fn commit(addr: SocketAddr, group: &str, topic: &str, offsets: &[(i32, i64)]) -> anyhow::Result<()> {
    let partition = |(partition_index, committed_offset): &(i32, i64)| OffsetCommitRequestPartition {
        partition_index: *partition_index,
        committed_offset: *committed_offset,
        ..OffsetCommitRequestPartition::default()
    };
    let topic = OffsetCommitRequestTopic {
        name: KString::from(topic),
        partitions: offsets.iter().map(partition).collect(),
        ..OffsetCommitRequestTopic::default()
    };
    let request = OffsetCommitRequest {
        group_id: KString::from(group),
        generation_id_or_member_epoch: -1,
        topics: vec![topic],
        ..OffsetCommitRequest::default()
    };
    let answer = RawClient::connect(addr).request(8, &request);
    let failed = answer.topics.iter().flat_map(|t| &t.partitions).find(|p| p.error_code != ErrorCode::NONE);
    ensure!(failed.is_none(), "commit of {group} through {addr}: {failed:?}");
    Ok(())
}

// ---- kafka-consumer-groups ------------------------------------------------------------------------------------------

/// What `kafka-consumer-groups` is let loose on: a group with two members, and one that only has offsets.
struct Scene<'a> {
    fleet: &'a Fleet,
    version: &'static str,
    topic: String,
    other: String,
    live: String,
    spare: String,
}

impl Scene<'_> {
    fn tool(&self, arguments: &[&str]) -> anyhow::Result<String> {
        let bootstrap = self.fleet.bootstrap().to_string();
        let all = [&["--bootstrap-server", &bootstrap], arguments].concat();
        kafka(self.version, "kafka-consumer-groups", &all)
    }

    /// Every gateway shows exactly these offsets.
    fn shows(&self, what: &str, group: &str, topic: &str, wanted: &[(i32, i64)]) -> anyhow::Result<()> {
        let wanted: BTreeMap<i32, i64> = wanted.iter().copied().collect();
        for gateway in self.fleet.gateways() {
            let found = fleet::committed(*gateway, group, topic, PARTITIONS)?;
            same(&format!("{what}: {group} of {topic} at {gateway}"), &found, &wanted)?;
        }
        Ok(())
    }

    /// Resets the spare group; the tool says these offsets, and no other.
    fn reset(&self, arguments: &[&str], wanted: &[(&str, i32, i64)]) -> anyhow::Result<()> {
        let out = self.tool(&[&["--reset-offsets", "--group", &self.spare], arguments].concat())?;
        let names = ["TOPIC", "PARTITION", "NEW-OFFSET"];
        let said = |(t, p, o): &(&str, i32, i64)| [(*t).to_owned(), p.to_string(), o.to_string()];
        let found = columns(&out, &self.spare, names);
        same(&format!("--reset-offsets {arguments:?}:\n{out}"), &found, &wanted.iter().map(said).collect())
    }

    fn refuses(&self, arguments: &[&str], reason: &str) -> anyhow::Result<()> {
        let out = self.tool(arguments)?;
        ensure!(out.contains(reason), "{arguments:?} does not say {reason:?}:\n{out}");
        Ok(())
    }
}

fn consumer_groups(version: &'static str) -> anyhow::Result<String> {
    let since = Instant::now();
    let fleet = fleet_of(Kind::Memory(3))?;
    let scene = Scene {
        fleet: &fleet,
        version,
        topic: unique("admin"),
        other: unique("admin-other"),
        live: unique("live"),
        spare: unique("spare"),
    };
    create_topic_of_two_times(&fleet, &scene.topic, PARTITIONS)?;
    create_topic_of_two_times(&fleet, &scene.other, 1)?;
    let (t, u) = (scene.topic.as_str(), scene.other.as_str());
    // A group that nobody was ever a member of comes into being by this.
    let all_at_7 = [(t, 0, 7), (t, 1, 7), (t, 2, 7), (u, 0, 7)];
    scene.reset(&["--to-offset", "7", "--topic", t, "--topic", u, "--execute"], &all_at_7)?;
    scene.shows("--to-offset", &scene.spare, t, &[(0, 7), (1, 7), (2, 7)])?;

    let (mut members, journal) = join_two(&scene)?;
    // What they have read stays what it is while the tools look: sessions last longer than that.
    members.iter_mut().for_each(Member::pause);
    append_now(&fleet, t, 0, LATE)?;
    look_at_groups(&scene, &owners_before_the_pause(&journal))?;
    refusals_of_a_live_group(&scene)?;
    members.iter_mut().for_each(Member::resume);
    members.iter_mut().for_each(Member::ask_to_stop);
    for member in &mut members {
        member.wait_for_end(PATIENCE)?;
    }

    resets(&scene)?;
    deletions(&scene)?;
    Ok(format!("22 runs, {:.1} s", since.elapsed().as_secs_f64()))
}

const MEMBERS: [&str; 2] = ["admin-one", "admin-two"];

/// Two members that own something each and have read and committed everything.
fn join_two(scene: &Scene<'_>) -> anyhow::Result<(Vec<Member>, Arc<Journal>)> {
    let membership = Membership {
        bootstrap: scene.fleet.bootstrap().to_string(),
        group: scene.live.clone(),
        topic: scene.topic.clone(),
        assignor: "range".to_owned(),
        session_ms: 180_000,
        commit_ms: 100,
    };
    let journal: Arc<Journal> = Arc::default();
    let start = |name| Member::start(Library::KafkaPython, &membership, name, None, &journal);
    let members: Option<Vec<Member>> = MEMBERS.into_iter().map(start).collect();
    let members = members.context("the Python clients are not to be had")?;
    let is_shared = journal.wait(PATIENCE, |entries| {
        let owners = owners(entries);
        let owning: BTreeSet<&String> = owners.values().flatten().collect();
        owners.values().filter(|o| o.len() == 1).count() == 3 && owning.len() == MEMBERS.len()
    });
    ensure!(is_shared, "two members do not share {}: {:?}", scene.topic, journal.entries());
    let ends = fleet::ends(scene.fleet.gateways()[0], &scene.topic, PARTITIONS)?;
    let addr = scene.fleet.gateways()[0];
    becomes("committed", &ends, || fleet::committed(addr, &scene.live, &scene.topic, PARTITIONS))?;
    Ok((members, journal))
}

fn owners_before_the_pause(journal: &Journal) -> BTreeMap<i32, String> {
    let mut entries = journal.entries();
    entries.retain(|e| e.event != crate::members::Event::Paused);
    owners(&entries).into_iter().filter_map(|(p, names)| Some((p, names.into_iter().next()?))).collect()
}

/// `--list --state`, `--describe --all-groups`, `--members --verbose` and `--state` of the live and of the empty group.
fn look_at_groups(scene: &Scene<'_>, owners: &BTreeMap<i32, String>) -> anyhow::Result<()> {
    let (t, u, live, spare) = (scene.topic.as_str(), scene.other.as_str(), &scene.live, &scene.spare);
    let described = fleet::describe(scene.fleet.gateways()[0], live)?;
    let mut ids = BTreeMap::new();
    for member in &described.members {
        ids.insert(member.client_id.as_str(), member.member_id.as_str());
    }
    same("members", &ids.keys().copied().collect::<Vec<_>>(), &MEMBERS.to_vec())?;

    let out = scene.tool(&["--list", "--state"])?;
    for (group, state) in [(live, "Stable"), (spare, "Empty")] {
        same(&format!("--list --state:\n{out}"), &columns(&out, group, ["STATE"]), &[words([state])].into())?;
    }

    let out = scene.tool(&["--describe", "--all-groups"])?;
    let names = ["TOPIC", "PARTITION", "CURRENT-OFFSET", "LOG-END-OFFSET", "LAG", "CONSUMER-ID", "HOST", "CLIENT-ID"];
    let read = (OLD + NEW).to_string();
    let (end_of_0, lag_of_0) = ((OLD + NEW + LATE).to_string(), LATE.to_string());
    let mut wanted = BTreeSet::new();
    for (partition, owner) in owners {
        let (end, lag) = if *partition == 0 { (end_of_0.as_str(), lag_of_0.as_str()) } else { (read.as_str(), "0") };
        let id = ids.get(owner.as_str()).copied().unwrap_or_default();
        wanted.insert(words([t, &partition.to_string(), &read, end, lag, id, "/127.0.0.1", owner]));
    }
    same(&format!("--describe:\n{out}"), &columns(&out, live, names), &wanted)?;
    let spare_row = |topic: &str, partition: &str, end: i64| {
        words([topic, partition, "7", &end.to_string(), &(end - 7).to_string(), "-", "-", "-"])
    };
    let end = OLD + NEW;
    let wanted =
        [spare_row(t, "0", end + LATE), spare_row(t, "1", end), spare_row(t, "2", end), spare_row(u, "0", end)];
    same(&format!("--describe:\n{out}"), &columns(&out, spare, names), &wanted.into())?;

    let both = ["--describe", "--group", live, "--group", spare];
    let out = scene.tool(&[&both[..], &["--members", "--verbose"]].concat())?;
    let assignment = if scene.version == "2.8.2" { "ASSIGNMENT" } else { "CURRENT-ASSIGNMENT" };
    let found = columns(&out, live, ["CONSUMER-ID", "HOST", "CLIENT-ID", "#PARTITIONS", assignment]);
    let wanted = MEMBERS.map(|name| {
        let owned: Vec<String> = owners.iter().filter(|(_, o)| *o == name).map(|(p, _)| p.to_string()).collect();
        let (count, list) = (owned.len().to_string(), owned.join(","));
        let list = if scene.version == "2.8.2" { format!("{t}({list})") } else { format!("{t}:{list}") };
        words([ids.get(name).copied().unwrap_or_default(), "/127.0.0.1", name, &count, &list])
    });
    same(&format!("--members --verbose:\n{out}"), &found, &wanted.into())?;
    same("members of nobody", &columns(&out, spare, ["CONSUMER-ID"]), &BTreeSet::new())?;

    let out = scene.tool(&[&both[..], &["--state"]].concat())?;
    let found = columns(&out, live, ["ASSIGNMENT-STRATEGY", "STATE", "#MEMBERS"]);
    same(&format!("--state:\n{out}"), &found, &[words(["range", "Stable", "2"])].into())?;
    let found = columns(&out, spare, ["STATE", "#MEMBERS"]);
    same(&format!("--state:\n{out}"), &found, &[words(["Empty", "0"])].into())
}

fn refusals_of_a_live_group(scene: &Scene<'_>) -> anyhow::Result<()> {
    let (t, live) = (scene.topic.as_str(), scene.live.as_str());
    let reset = ["--reset-offsets", "--group", live, "--to-earliest", "--topic", t, "--execute"];
    scene.refuses(&reset, "can only be reset if the group")?;
    scene.refuses(&["--delete-offsets", "--group", live, "--topic", t], "GroupSubscribedToTopicException")?;
    scene.refuses(&["--delete", "--group", live], "GroupNotEmptyException")?;
    let read = OLD + NEW;
    scene.shows("refused", live, t, &[(0, read), (1, read), (2, read)])
}

/// `--reset-offsets` in every mode.
fn resets(scene: &Scene<'_>) -> anyhow::Result<()> {
    let (t, u, spare) = (scene.topic.as_str(), scene.other.as_str(), scene.spare.as_str());
    let (end, first_new) = (OLD + NEW, OLD);
    let all_at_0 = [(t, 0, 0), (t, 1, 0), (t, 2, 0), (u, 0, 0)];
    scene.reset(&["--to-earliest", "--all-topics", "--dry-run"], &all_at_0)?;
    scene.shows("--dry-run", spare, t, &[(0, 7), (1, 7), (2, 7)])?;

    let some = format!("{t}:0,1");
    scene.reset(&["--to-latest", "--topic", &some, "--execute"], &[(t, 0, end + LATE), (t, 1, end)])?;
    scene.shows("--to-latest of two", spare, t, &[(0, end + LATE), (1, end), (2, 7)])?;
    let back = [(t, 0, end + LATE - 2), (t, 1, end - 2), (t, 2, 5)];
    scene.reset(&["--shift-by", "-2", "--topic", t, "--execute"], &back)?;
    // Past the end is the end.
    let ahead = [(t, 0, end + LATE), (t, 1, end), (t, 2, 55)];
    scene.reset(&["--shift-by", "50", "--topic", t, "--execute"], &ahead)?;
    scene.shows("--shift-by", spare, t, &[(0, end + LATE), (1, end), (2, 55)])?;

    let plan =
        scene.tool(&["--reset-offsets", "--group", spare, "--all-topics", "--to-current", "--export", "--dry-run"])?;
    let mut lines: Vec<&str> = plan.lines().filter(|l| !l.is_empty()).collect();
    lines.sort_unstable();
    let exported = [format!("{t},0,{}", end + LATE), format!("{t},1,{end}"), format!("{t},2,55"), format!("{u},0,7")];
    let mut wanted = exported.each_ref().map(String::as_str);
    wanted.sort_unstable();
    same("--export", &lines, &wanted.to_vec())?;

    let of_now = [(t, 0, first_new), (t, 1, first_new), (t, 2, first_new)];
    scene.reset(&["--by-duration", "PT1H", "--topic", t, "--execute"], &of_now)?;
    scene.shows("--by-duration", spare, t, &[(0, first_new), (1, first_new), (2, first_new)])?;
    scene.reset(&["--to-earliest", "--all-topics", "--execute"], &all_at_0)?;
    scene.reset(&["--to-datetime", BETWEEN, "--topic", t, "--execute"], &of_now)?;
    scene.shows("--to-datetime", spare, t, &[(0, first_new), (1, first_new), (2, first_new)])?;

    let folder = tempfile::TempDir::new()?;
    let file = folder.path().join("plan.csv");
    fs::write(&file, &plan)?;
    let file = file.to_str().context("a path that can be read")?;
    let planned = [(t, 0, end + LATE), (t, 1, end), (t, 2, 55), (u, 0, 7)];
    scene.reset(&["--from-file", file, "--execute"], &planned)?;
    scene.shows("--from-file", spare, t, &[(0, end + LATE), (1, end), (2, 55)])?;
    scene.shows("--from-file", spare, u, &[(0, 7)])
}

/// `--delete-offsets`, `--delete`, and what is listed afterwards.
fn deletions(scene: &Scene<'_>) -> anyhow::Result<()> {
    let (t, live, spare) = (scene.topic.as_str(), scene.live.as_str(), scene.spare.as_str());
    let out = scene.tool(&["--delete-offsets", "--group", spare, "--topic", &format!("{t}:0,2")])?;
    let statuses: Vec<_> = rows(&out).iter().filter_map(|r| r.get("STATUS").cloned()).collect();
    same(&format!("--delete-offsets:\n{out}"), &statuses, &words(["Successful", "Successful"]).to_vec())?;
    scene.shows("--delete-offsets", spare, t, &[(1, OLD + NEW)])?;

    let out = scene.tool(&["--delete", "--group", spare, "--group", live])?;
    ensure!(out.contains("was successful") && !out.contains("Error"), "--delete:\n{out}");
    for group in [live, spare] {
        scene.shows("--delete", group, t, &[])?;
    }
    scene.refuses(&["--delete", "--group", spare], "GroupIdNotFoundException")?;
    let says = if scene.version == "2.8.2" { "does not exist" } else { "not found" };
    scene.refuses(&["--describe", "--group", spare], says)?;
    let out = scene.tool(&["--list"])?;
    let listed = out.lines().map(str::trim).find(|l| *l == live || *l == spare);
    ensure!(listed.is_none(), "--list, after --delete:\n{out}");
    Ok(())
}

// ---- admin calls of libraries ----------------------------------------------------------------------------------------

/// One of the scripts that go through a library's admin calls, through another gateway than the consumers' if there are
/// several.
fn admin_calls(script: &str, gateways: usize) -> anyhow::Result<String> {
    let since = Instant::now();
    // Each of them says its own address here: what is sent to the last one arrives there.
    let place = if fleet::outside().is_none() { Place::start(Store::Memory, gateways) } else { None };
    let outside = || fleet::outside().map(|a| a.to_string()).unwrap_or_default();
    let (first, last) = place.as_ref().map_or_else(|| (outside(), outside()), |p| (p.first(), p.last()));
    let path = crate::root().join("tests/clients").join(script);
    let path = path.to_str().context("a path that can be read")?;
    let (group, topic) = (unique("admin-calls"), unique("admin-calls-topic"));
    let named = ["--group", &group, "--topic", &topic];
    let out = run(&python()?, "", &[&[path, "--bootstrap", &first, "--through", &last][..], &named].concat())?;
    let said = out.lines().last().unwrap_or_default();
    ensure!(said.starts_with("ok "), "{script} says:\n{out}");
    Ok(format!("{said}, {:.1} s", since.elapsed().as_secs_f64()))
}

// ---- kcat -G ----------------------------------------------------------------------------------------------------------

/// A kcat, what it says on standard error, and its end.
struct Kcat {
    child: Child,
    said: Receiver<String>,
}

impl Kcat {
    fn start(arguments: &[&str]) -> anyhow::Result<Self> {
        let mut command = Command::new("kcat");
        command.args(arguments).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().context("start kcat")?;
        let stderr = child.stderr.take().context("standard error")?;
        let (send, said) = sync_channel(1024);
        std::thread::spawn(move || {
            for line in BufReader::new(stderr).lines().map_while(Result::ok) {
                if send.send(line).is_err() {
                    return;
                }
            }
        });
        Ok(Self { child, said })
    }

    /// Waits until it has said of every partition that it has come to this end.
    fn comes_to(&self, topic: &str, end: i64) -> anyhow::Result<()> {
        let reached = |p: i32| format!("% Reached end of topic {topic} [{p}] at offset {end}");
        let mut missing: BTreeSet<String> = (0..PARTITIONS).map(reached).collect();
        let (until, mut heard) = (Instant::now() + PATIENCE, Vec::new());
        while !missing.is_empty() {
            let left = until.saturating_duration_since(Instant::now());
            let Ok(line) = self.said.recv_timeout(left) else { bail!("kcat never said {missing:?}, but {heard:#?}") };
            missing.remove(&line);
            heard.push(line);
        }
        Ok(())
    }
}

impl Drop for Kcat {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// `kcat -G group topic`, without any option: it begins at the end, and prints what is produced from then on.
fn bare_kcat() -> anyhow::Result<String> {
    let since = Instant::now();
    let fleet = fleet_of(Kind::Memory(3))?;
    let (topic, group, bootstrap) = (unique("bare"), unique("bare-group"), fleet.bootstrap().to_string());
    create_topic_of_two_times(&fleet, &topic, PARTITIONS)?;
    let mut kcat = Kcat::start(&["-b", &bootstrap, "-G", &group, &topic])?;
    kcat.comes_to(&topic, OLD + NEW)?;
    for partition in 0..PARTITIONS {
        append_now(&fleet, &topic, partition, 1)?;
    }
    kcat.comes_to(&topic, OLD + NEW + 1)?;
    let pid = kcat.child.id().to_string();
    ensure!(Command::new("kill").args(["-TERM", &pid]).status()?.success(), "SIGTERM could not be sent");
    let mut out = String::new();
    kcat.child.stdout.take().context("standard output")?.read_to_string(&mut out)?;
    let status: ExitStatus = kcat.child.wait()?;
    ensure!(status.success(), "kcat ended with {status}");
    same("kcat printed", &out.lines().collect(), &vec!["new 0"; 3])?;
    is_committed_to_the_end(&fleet, &group, &topic)?;
    Ok(format!("nothing of before, 3 of 3 records of after, {:.1} s", since.elapsed().as_secs_f64()))
}

// ---- deleted topics ---------------------------------------------------------------------------------------------------

/// `kafka-topics --delete` takes the topic's offsets away, and a topic of its name begins without them.
fn deleted_topic() -> anyhow::Result<String> {
    let since = Instant::now();
    let fleet = fleet_of(Kind::Memory(3))?;
    let (topic, other, group) = (unique("deleted"), unique("kept"), unique("of-deleted"));
    let bootstrap = fleet.bootstrap().to_string();
    let topics =
        |arguments: &[&str]| kafka("4.3.1", "kafka-topics", &[&["--bootstrap-server", &bootstrap], arguments].concat());
    let last = fleet.gateways()[fleet.gateways().len() - 1];
    for topic in [&topic, &other] {
        create_topic_of_two_times(&fleet, topic, PARTITIONS)?;
        commit(last, &group, topic, &[(0, 10), (2, 20)])?;
    }
    topics(&["--delete", "--topic", &topic])?;
    for gateway in fleet.gateways() {
        let look = || fleet::committed(*gateway, &group, &topic, PARTITIONS);
        becomes("offsets of a deleted topic", &BTreeMap::new(), look)?;
    }
    topics(&["--create", "--topic", &topic, "--partitions", "3"])?;
    append_now(&fleet, &topic, 0, NEW)?;
    let groups = ["--bootstrap-server", &bootstrap, "--describe", "--group", &group];
    let out = kafka("4.3.1", "kafka-consumer-groups", &groups)?;
    let found = columns(&out, &group, ["TOPIC", "PARTITION", "CURRENT-OFFSET", "LAG"]);
    let wanted = [words([&other, "0", "10", "90"]), words([&other, "2", "20", "80"])];
    same(&format!("--describe of a recreated topic:\n{out}"), &found, &wanted.into())?;
    commit(last, &group, &topic, &[(0, 3)])?;
    for gateway in fleet.gateways() {
        same("offsets", &fleet::committed(*gateway, &group, &topic, PARTITIONS)?, &[(0, 3)].into())?;
    }
    Ok(format!("gone with it, not inherited, {:.1} s", since.elapsed().as_secs_f64()))
}
