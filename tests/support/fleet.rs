//! Gateways that clients know by one address, and the questions about groups that suites ask each of them.
//!
//! Promises: with several gateways, that address is a balancer's, which every gateway advertises; questions go past it,
//! to the gateway that is named. With `SLUICE_TEST_BOOTSTRAP`, every fleet is the one broker of that address: what the
//! suites over groups demand is then demanded of Apache Kafka, which shows whether they demand the right thing.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
use sluice::GatewayConfig;
use sluice::config::HostPort;
use sluice_protocol::messages::describe_groups::DescribedGroup;
use sluice_protocol::messages::offset_commit::{OffsetCommitRequestPartition, OffsetCommitRequestTopic};
use sluice_protocol::messages::offset_fetch::OffsetFetchRequestTopic;
use sluice_protocol::messages::{
    DescribeGroupsRequest, FindCoordinatorRequest, OffsetCommitRequest, OffsetFetchRequest,
};
use sluice_protocol::{ErrorCode, KString, Request};

use crate::balancer::Balancer;
use crate::emulator::{fresh_name, s3_endpoint};
use crate::process::{EMULATOR_ENVIRONMENT, Sluice};
use crate::raw::RawClient;
use crate::replicas::{Replicas, emulator_is_there};

/// How long a question may be answered with "not now".
const PATIENCE: Duration = Duration::from_secs(30);
/// The generations among which that of a group is looked for.
const GENERATIONS_MAX: i32 = 200;

/// What a fleet is made of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Gateways in this process over one memory store.
    Memory(usize),
    /// Processes of the binary over the S3 and DynamoDB of the emulator.
    Processes(usize),
    /// One process over files.
    Disk,
}

impl Kind {
    /// A short name for cells.
    #[must_use]
    pub fn name(self) -> String {
        match self {
            Self::Memory(count) => format!("memory x{count}"),
            Self::Processes(count) => format!("s3+dynamodb x{count}"),
            Self::Disk => "disk x1".to_owned(),
        }
    }
}

/// Running gateways.
pub struct Fleet {
    bootstrap: SocketAddr,
    gateways: Vec<SocketAddr>,
    /// The processes, where it has any.
    pub processes: Vec<Sluice>,
    balancer: Option<Balancer>,
    _replicas: Option<Replicas>,
    _folder: Option<tempfile::TempDir>,
}

/// The broker outside that stands in for every fleet, if one is named.
#[must_use]
pub fn outside() -> Option<SocketAddr> {
    let address = std::env::var("SLUICE_TEST_BOOTSTRAP").ok().filter(|a| !a.is_empty())?;
    Some(address.parse().expect("SLUICE_TEST_BOOTSTRAP is IP:PORT"))
}

impl Fleet {
    /// Starts one over a fresh store; `None` (and a skip on record) where its emulator is not to be had.
    ///
    /// # Panics
    /// When a gateway does not start.
    #[must_use]
    pub fn start(kind: Kind) -> Option<Self> {
        if let Some(address) = outside() {
            let processes = Vec::new();
            let gateways = vec![address];
            return Some(Self {
                bootstrap: address,
                gateways,
                processes,
                balancer: None,
                _replicas: None,
                _folder: None,
            });
        }
        let (Kind::Memory(count) | Kind::Processes(count)) = kind else { return Some(Self::over_disk()) };
        let balancer = (count > 1).then(Balancer::start);
        let advertised = balancer.as_ref().map(Balancer::addr);
        let (mut processes, mut replicas) = (Vec::new(), None);
        if let Kind::Memory(_) = kind {
            let advertise = advertised.map(HostPort::from);
            let config = GatewayConfig { advertise, ..GatewayConfig::default() };
            replicas = Some(Replicas::over_memory_with(count, &config));
        } else {
            processes = start_processes(count, advertised)?;
        }
        let gateways: Vec<SocketAddr> = match &replicas {
            Some(replicas) => (0..count).map(|n| replicas.kafka(n)).collect(),
            None => processes.iter().map(|p| p.kafka).collect(),
        };
        if let Some(balancer) = &balancer {
            gateways.iter().for_each(|g| balancer.add(*g));
        }
        let bootstrap = advertised.unwrap_or(gateways[0]);
        Some(Self { bootstrap, gateways, processes, balancer, _replicas: replicas, _folder: None })
    }

    fn over_disk() -> Self {
        let folder = tempfile::TempDir::new().unwrap();
        let data = folder.path().join("data");
        let process = Sluice::serve(&["--store", "disk", "--data-dir", data.to_str().unwrap()], &[]);
        let gateways = vec![process.kafka];
        let (bootstrap, processes) = (process.kafka, vec![process]);
        Self { bootstrap, gateways, processes, balancer: None, _replicas: None, _folder: Some(folder) }
    }

    /// The address that clients are given.
    #[must_use]
    pub fn bootstrap(&self) -> SocketAddr {
        self.bootstrap
    }

    /// The gateways themselves.
    #[must_use]
    pub fn gateways(&self) -> &[SocketAddr] {
        &self.gateways
    }

    /// The balancer, where there are several gateways.
    #[must_use]
    pub fn balancer(&self) -> Option<&Balancer> {
        self.balancer.as_ref()
    }
}

fn start_processes(count: usize, advertised: Option<SocketAddr>) -> Option<Vec<Sluice>> {
    if !emulator_is_there() {
        return None;
    }
    let (endpoint, name) = (s3_endpoint(), fresh_name());
    let mut arguments =
        vec!["--store", "aws", "--aws-endpoint", endpoint, "--bucket", &name, "--tables", &name, "--create"];
    let advertised = advertised.map(|a| a.to_string());
    if let Some(advertised) = &advertised {
        arguments.extend(["--advertise", advertised]);
    }
    Some((0..count).map(|_| Sluice::serve(&arguments, EMULATOR_ENVIRONMENT)).collect())
}

/// A gateway that closed the connection, or did not take it: nothing that can be judged.
#[derive(Debug, Clone, Copy)]
pub struct Gone(pub SocketAddr);

impl std::fmt::Display for Gone {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} gave no answer", self.0)
    }
}

impl std::error::Error for Gone {}

/// A connection for questions.
struct Ask(SocketAddr, RawClient);

impl Ask {
    fn connect(addr: SocketAddr) -> Result<Self, Gone> {
        Ok(Self(addr, RawClient::try_connect(addr).map_err(|_| Gone(addr))?))
    }

    fn request<R: Request>(&mut self, version: i16, body: &R) -> Result<R::Response, Gone> {
        self.1.try_request(version, body).ok_or(Gone(self.0))
    }
}

/// Codes after which a client asks again.
fn says_not_now(code: ErrorCode) -> bool {
    let codes = [
        ErrorCode::COORDINATOR_LOAD_IN_PROGRESS,
        ErrorCode::COORDINATOR_NOT_AVAILABLE,
        ErrorCode::NOT_COORDINATOR,
        ErrorCode::UNKNOWN_TOPIC_OR_PARTITION,
    ];
    codes.contains(&code)
}

/// Asks until the answer is not "not now".
fn ask_until<T>(what: &str, mut ask: impl FnMut() -> anyhow::Result<(ErrorCode, T)>) -> anyhow::Result<T> {
    let until = Instant::now() + PATIENCE;
    loop {
        let (code, answer) = ask()?;
        if code == ErrorCode::NONE {
            return Ok(answer);
        }
        ensure!(says_not_now(code) && Instant::now() < until, "{what}: {code:?}");
        crate::process::pause();
    }
}

/// Creates a topic, and waits until it can be asked about.
///
/// # Errors
/// What the broker refused.
pub fn create_topic(addr: SocketAddr, topic: &str, partitions: i32) -> anyhow::Result<()> {
    let mut client = RawClient::connect(addr);
    let code = client.create_topic(topic, partitions);
    ensure!(code == ErrorCode::NONE, "create {topic}: {code:?}");
    for partition in 0..partitions {
        ask_until("the new topic", || match client.list_offset(topic, partition, -1) {
            Ok(_) => Ok((ErrorCode::NONE, ())),
            Err(ErrorCode::NOT_LEADER_OR_FOLLOWER | ErrorCode::LEADER_NOT_AVAILABLE) => {
                Ok((ErrorCode::UNKNOWN_TOPIC_OR_PARTITION, ()))
            }
            Err(code) => Ok((code, ())),
        })?;
    }
    // A broker outside makes the home of committed offsets at the first question.
    let request = FindCoordinatorRequest { key: KString::from(topic), ..FindCoordinatorRequest::default() };
    ask_until("a coordinator", || Ok((client.request(2, &request).error_code, ())))
}

/// The end offset of every partition.
///
/// # Errors
/// What the broker refused.
pub fn ends(addr: SocketAddr, topic: &str, partitions: i32) -> anyhow::Result<BTreeMap<i32, i64>> {
    let mut client = RawClient::connect(addr);
    let mut ask = |p| client.list_offset(topic, p, -1).map_err(|e| anyhow::anyhow!("the end of {topic}-{p}: {e:?}"));
    (0..partitions).map(|p| Ok((p, ask(p)?))).collect()
}

/// What this gateway shows of a group.
///
/// # Errors
/// What it refused.
pub fn describe(addr: SocketAddr, group: &str) -> anyhow::Result<DescribedGroup> {
    let mut client = Ask::connect(addr)?;
    let request = DescribeGroupsRequest { groups: vec![KString::from(group)], ..DescribeGroupsRequest::default() };
    ask_until("DescribeGroups", || {
        let described = client.request(5, &request)?.groups[0].clone();
        Ok((described.error_code, described))
    })
}

/// The committed offsets that this gateway shows; partitions without one are left out.
///
/// # Errors
/// What it refused.
pub fn committed(addr: SocketAddr, group: &str, topic: &str, partitions: i32) -> anyhow::Result<BTreeMap<i32, i64>> {
    let mut client = Ask::connect(addr)?;
    let asked = OffsetFetchRequestTopic { name: KString::from(topic), partition_indexes: (0..partitions).collect() };
    let topics = Some(vec![asked]);
    let request = OffsetFetchRequest { group_id: KString::from(group), topics, ..OffsetFetchRequest::default() };
    let answer = ask_until("OffsetFetch", || {
        let answer = client.request(6, &request)?;
        Ok((answer.error_code, answer))
    })?;
    let partitions = &answer.topics.first().context("an answer for the topic")?.partitions;
    let failed = partitions.iter().find(|p| p.error_code != ErrorCode::NONE);
    ensure!(failed.is_none(), "OffsetFetch of {group}: {failed:?}");
    let has_one = partitions.iter().filter(|p| p.committed_offset >= 0);
    Ok(has_one.map(|p| (p.partition_index, p.committed_offset)).collect())
}

/// The generation of a group with members, as this gateway knows it.
///
/// No version of DescribeGroups carries it: it is the one for which a commit of a described member is taken. The commit
/// is one of partition 0 of `probe`, a topic for nothing else.
///
/// # Errors
/// No member, no such generation, or what the gateway refused.
pub fn generation(addr: SocketAddr, group: &str, probe: &str, from: i32) -> anyhow::Result<i32> {
    let described = describe(addr, group)?;
    let member =
        described.members.first().with_context(|| format!("{group} has no member: {}", described.group_state))?;
    let mut client = Ask::connect(addr)?;
    for generation in (from.max(1)..from + GENERATIONS_MAX).chain(1..from) {
        let partition = OffsetCommitRequestPartition {
            partition_index: 0,
            committed_offset: i64::from(generation),
            ..OffsetCommitRequestPartition::default()
        };
        let topic = OffsetCommitRequestTopic {
            name: KString::from(probe),
            partitions: vec![partition],
            ..OffsetCommitRequestTopic::default()
        };
        let request = OffsetCommitRequest {
            group_id: KString::from(group),
            generation_id_or_member_epoch: generation,
            member_id: member.member_id.clone(),
            group_instance_id: member.group_instance_id.clone(),
            topics: vec![topic],
            ..OffsetCommitRequest::default()
        };
        match client.request(7, &request)?.topics[0].partitions[0].error_code {
            ErrorCode::NONE => return Ok(generation),
            ErrorCode::ILLEGAL_GENERATION => {}
            code => anyhow::bail!("the generation of {group}: a commit for {generation} is answered {code:?}"),
        }
    }
    anyhow::bail!("{group} takes no commit of a generation up to {}", from + GENERATIONS_MAX)
}
