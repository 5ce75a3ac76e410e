//! Configuration: flags over environment over file over defaults, checked as a whole before anything is opened.
//!
//! Promises: every refusal is one line that names the setting and says what to do; what `--print-config` shows is what a
//! run with the same arguments uses, and holds no secret (there is no setting that is one: AWS credentials are the SDK's
//! own business). Never: resolves a name, opens a file but the one it is given, or keeps a value nobody asked for.
//! Called by the command line and by [`crate::run`]; tests build a [`Config`] from a [`Layer`].

pub mod docs;
mod settings;
mod values;

use std::collections::BTreeSet;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, bail, ensure};
use sluice_engine::{Limits, Settings};

pub(crate) use settings::Source;
pub use settings::{Layer, SETTINGS, Setting};
pub use values::{HostPort, HttpListen, LogFormat, StoreKind, ValueError};

use crate::gateway::GatewayConfig;
use crate::stores::{AwsStore, StoreConfig};

/// The environment, as a function so that tests can bring their own.
pub type Environment<'a> = &'a dyn Fn(&str) -> Option<String>;

/// Most partitions a topic can be created with by default; far above what anybody sets, far below what hurts (I-14).
const NUM_PARTITIONS_MAX: u32 = 10_000;
/// Smallest and largest `message-max-bytes`: a batch header with a small record; half a frame with room for its request.
const MESSAGE_BYTES: std::ops::RangeInclusive<u64> = 1_024..=64 << 20;
/// Least `cache-bytes`: one block.
const CACHE_BYTES_MIN: u64 = 1 << 20;
/// Bounds of both session timeouts: what Kafka's 32 bits hold.
const SESSION_TIMEOUT_MS: std::ops::RangeInclusive<i32> = 1..=i32::MAX;
/// Longest `group-initial-rebalance-delay-ms`: twice the rebalance timeout that consumers have by default.
const INITIAL_REBALANCE_DELAY_MS_MAX: u32 = 600_000;
/// Largest `group-max-size`: Kafka's.
const GROUP_SIZE_MAX: u32 = i32::MAX.unsigned_abs();
/// Largest `offset-metadata-max-bytes`: the longest string of the versions before compact ones.
const OFFSET_METADATA_MAX: usize = i16::MAX.unsigned_abs() as usize;
/// Bounds of `offsets-retention-check-interval-ms`: looking at every offset costs time, and a day is long enough.
const RETENTION_CHECK_MS: std::ops::RangeInclusive<u64> = 1_000..=86_400_000;
/// Longest `linger-ms`: a third of the 30 s in which a client gives a request up.
const LINGER_MS_MAX: u64 = 10_000;
/// Longest `drain-delay-ms`: leaves more than half of the 25 s of a graceful stop to the work itself.
const DRAIN_DELAY_MS_MAX: u64 = 10_000;
/// Bounds of `max-connections`: what the kernel's default of open files in all allows.
const CONNECTIONS: std::ops::RangeInclusive<usize> = 1..=1_000_000;
/// Bounds of `connections-max-idle-ms`.
const IDLE_MS: std::ops::RangeInclusive<u64> = 1_000..=86_400_000;
/// Bounds of `socket-request-max-bytes`: up to Kafka's default, which the memory for requests is made for.
const REQUEST_BYTES: std::ops::RangeInclusive<usize> = 1_024..=100 << 20;
/// Most worker threads.
const WORKER_THREADS_MAX: usize = 1_024;
/// Settings that are Kafka's, and their names there: DescribeConfigs tells which of them somebody gave.
const KAFKA_NAMES: &[(&str, &[&str])] = &[
    ("node-id", &["node.id", "broker.id"]),
    ("auto-create-topics", &["auto.create.topics.enable"]),
    ("num-partitions", &["num.partitions"]),
    ("message-max-bytes", &["message.max.bytes"]),
    ("group-min-session-timeout-ms", &["group.min.session.timeout.ms"]),
    ("group-max-session-timeout-ms", &["group.max.session.timeout.ms"]),
    ("group-initial-rebalance-delay-ms", &["group.initial.rebalance.delay.ms"]),
    ("group-max-size", &["group.max.size"]),
    ("offset-metadata-max-bytes", &["offset.metadata.max.bytes"]),
    ("offsets-retention-minutes", &["offsets.retention.minutes"]),
    ("offsets-retention-check-interval-ms", &["offsets.retention.check.interval.ms"]),
];
/// A configuration file over this is not one.
const FILE_BYTES_MAX: u64 = 1 << 20;

/// A checked configuration of `serve`, `check` or `dev`.
#[derive(Debug, Clone, PartialEq)]
pub struct Config {
    /// Where Kafka clients connect.
    pub listen: HostPort,
    /// May others reach it without authentication?
    pub insecure: bool,
    /// Where HTTP is served, if anywhere.
    pub http: Option<HostPort>,
    /// The store.
    pub store: StoreConfig,
    /// What the gateway itself needs.
    pub gateway: GatewayConfig,
    /// Threads that serve requests; 0 is one per core.
    pub worker_threads: usize,
    /// Form of the log lines.
    pub log_format: LogFormat,
    /// Which log lines.
    pub log_level: String,
}

/// Endpoints that the SDK's own environment variables name, per service.
#[derive(Debug, Default, PartialEq, Eq)]
struct AwsEnvironment {
    s3_endpoint: Option<String>,
    dynamodb_endpoint: Option<String>,
    names_region: bool,
}

impl AwsEnvironment {
    fn read(environment: Environment<'_>) -> Self {
        let set = |name: &str| environment(name).filter(|value| !value.is_empty());
        let ignored = set("AWS_IGNORE_CONFIGURED_ENDPOINT_URLS").is_some_and(|v| v.eq_ignore_ascii_case("true"));
        let endpoint = |service: &str| match ignored {
            true => None,
            false => set(&format!("AWS_ENDPOINT_URL_{service}")).or_else(|| set("AWS_ENDPOINT_URL")),
        };
        Self {
            s3_endpoint: endpoint("S3"),
            dynamodb_endpoint: endpoint("DYNAMODB"),
            names_region: set("AWS_REGION").or_else(|| set("AWS_DEFAULT_REGION")).is_some(),
        }
    }
}

/// The outcome of all sources.
#[derive(Debug, Clone, PartialEq)]
pub struct Resolved {
    /// What every setting came out as.
    pub layer: Layer,
    /// The same, checked.
    pub config: Config,
    /// Endpoints that came from the SDK's variables, as comments for `--print-config`.
    notes: Vec<String>,
}

impl Resolved {
    /// Flags over environment over the file at `path` over the defaults.
    ///
    /// # Errors
    /// One line: which setting of which source is wrong, and what it may be.
    pub fn from_sources(flags: Layer, environment: Environment<'_>, path: Option<&Path>) -> anyhow::Result<Self> {
        let set = |s: &Setting| environment(s.env).filter(|value| !value.is_empty());
        let told = flags.over(Layer::from_texts(Source::Environment, set)?);
        let file = path.map(read_file).transpose()?.unwrap_or_default();
        Self::from_layers(told, file, &AwsEnvironment::read(environment))
    }

    fn from_layers(told: Layer, mut file: Layer, aws: &AwsEnvironment) -> anyhow::Result<Self> {
        // Environment over file also holds for the SDK's variables, which have no field of their own in a layer.
        if aws.s3_endpoint.is_some() || aws.dynamodb_endpoint.is_some() {
            file.aws_endpoint = None;
        }
        if aws.names_region {
            file.aws_region = None;
        }
        let told = told.over(file);
        let mut config = Config::from_layer(told.clone())?;
        let layer = told.over(Layer::defaults()?);
        let mut notes = Vec::new();
        if let StoreConfig::Aws(store) = &mut config.store {
            let services = [
                ("S3", &mut store.s3_endpoint, &aws.s3_endpoint),
                ("DynamoDB", &mut store.dynamodb_endpoint, &aws.dynamodb_endpoint),
            ];
            for (service, endpoint, from_environment) in services {
                if let (None, Some(url)) = (&endpoint, from_environment) {
                    check_endpoint("AWS_ENDPOINT_URL", url)?;
                    notes.push(format!("# {service} endpoint from the SDK's environment variables: {url}"));
                    *endpoint = Some(url.clone());
                }
            }
        }
        Ok(Self { layer, config, notes })
    }

    /// The outcome as a configuration file.
    ///
    /// # Errors
    /// When a path is not Unicode, which TOML cannot say.
    pub fn to_toml(&self) -> anyhow::Result<String> {
        let mut text = toml::to_string(&self.layer).context("this configuration cannot be shown as TOML")?;
        for note in &self.notes {
            text.push_str(note);
            text.push('\n');
        }
        Ok(text)
    }
}

fn read_file(path: &Path) -> anyhow::Result<Layer> {
    let shown = path.display();
    let bytes = std::fs::metadata(path).with_context(|| format!("configuration file {shown}"))?.len();
    ensure!(bytes <= FILE_BYTES_MAX, "configuration file {shown}: {bytes} bytes, which is no configuration");
    let text = std::fs::read_to_string(path).with_context(|| format!("configuration file {shown}"))?;
    Layer::from_toml(&shown.to_string(), &text)
}

impl Config {
    /// Checks a complete layer. What has no default must be there.
    ///
    /// # Errors
    /// One line that names the setting and says what it may be.
    pub fn from_layer(layer: Layer) -> anyhow::Result<Self> {
        let given = given_to_kafka(&layer);
        let layer = layer.over(Layer::defaults()?);
        let log_level = required("log-level", layer.log_level.clone())?;
        let worker_threads = required("worker-threads", layer.worker_threads)?;
        ensure!(
            worker_threads <= WORKER_THREADS_MAX,
            "worker-threads is {worker_threads}: at most {WORKER_THREADS_MAX}"
        );
        check_log_level(&log_level)?;
        let http = match required("http", layer.http.clone())? {
            HttpListen::Off => None,
            HttpListen::At(addr) => Some(addr),
        };
        Ok(Self {
            listen: required("listen", layer.listen.clone())?,
            insecure: required("insecure", layer.insecure)?,
            http,
            gateway: gateway_config(&layer, given)?,
            worker_threads,
            log_format: required("log-format", layer.log_format)?,
            log_level,
            store: store_config(layer)?,
        })
    }
}

fn required<T>(key: &str, value: Option<T>) -> anyhow::Result<T> {
    value.with_context(|| format!("{key} is not set: give --{key}"))
}

/// Kafka's names of the settings that a layer speaks of.
fn given_to_kafka(layer: &Layer) -> BTreeSet<&'static str> {
    let keys = layer.keys();
    KAFKA_NAMES.iter().filter(|(key, _)| keys.contains(key)).flat_map(|(_, names)| *names).copied().collect()
}

fn gateway_config(layer: &Layer, given: BTreeSet<&'static str>) -> anyhow::Result<GatewayConfig> {
    let node_id = required("node-id", layer.node_id)?;
    ensure!(node_id >= 1, "node-id is {node_id}: at least 1, because some clients take 0 for \"no broker\"");
    if let Some(advertise) = &layer.advertise {
        ensure!(advertise.port != 0, "advertise is {advertise}: port 0 is no port that clients can connect to");
        if advertise.ip().is_some_and(|ip| ip.is_unspecified()) {
            bail!("advertise is {advertise}: clients cannot connect to that address, give one that they can reach");
        }
    }
    let default_partitions = within("num-partitions", layer.num_partitions, 1..=NUM_PARTITIONS_MAX)?;
    let message_bytes = within("message-max-bytes", layer.message_max_bytes, MESSAGE_BYTES)?;
    let linger_ms = within("linger-ms", layer.linger_ms, 0..=LINGER_MS_MAX)?;
    // TOML's integers end at i64::MAX.
    let cache_bytes_max = within("cache-bytes", layer.cache_bytes, CACHE_BYTES_MIN..=i64::MAX.unsigned_abs())?;
    let drain_delay_ms = within("drain-delay-ms", layer.drain_delay_ms, 0..=DRAIN_DELAY_MS_MAX)?;
    Ok(GatewayConfig {
        node_id,
        advertise: layer.advertise.clone(),
        drain_delay: Duration::from_millis(drain_delay_ms),
        limits: Limits {
            linger: Duration::from_millis(linger_ms),
            message_bytes_max: usize::try_from(message_bytes)?,
            cache_bytes_max,
            ..Limits::default()
        },
        settings: Settings {
            auto_create_topics: required("auto-create-topics", layer.auto_create_topics)?,
            default_partitions,
            given,
            ..group_settings(layer)?
        },
        wire: wire_limits(layer)?,
    })
}

/// The bounds of connections that people set, the others at their defaults.
fn wire_limits(layer: &Layer) -> anyhow::Result<sluice_server::Limits> {
    let idle_ms = within("connections-max-idle-ms", layer.connections_max_idle_ms, IDLE_MS)?;
    Ok(sluice_server::Limits {
        connections_max: within("max-connections", layer.max_connections, CONNECTIONS)?,
        idle_timeout: Duration::from_millis(idle_ms),
        frame_bytes_max: within("socket-request-max-bytes", layer.socket_request_max_bytes, REQUEST_BYTES)?,
        ..sluice_server::Limits::default()
    })
}

/// The settings of groups and committed offsets, the others at their defaults.
fn group_settings(layer: &Layer) -> anyhow::Result<Settings> {
    let min_ms = within("group-min-session-timeout-ms", layer.group_min_session_timeout_ms, SESSION_TIMEOUT_MS)?;
    let max_ms = within("group-max-session-timeout-ms", layer.group_max_session_timeout_ms, SESSION_TIMEOUT_MS)?;
    ensure!(
        min_ms <= max_ms,
        "group-min-session-timeout-ms is {min_ms}: not above group-max-session-timeout-ms, which is {max_ms}"
    );
    let delay_ms = layer.group_initial_rebalance_delay_ms;
    let check_ms = layer.offsets_retention_check_interval_ms;
    Ok(Settings {
        group_min_session_timeout_ms: min_ms,
        group_max_session_timeout_ms: max_ms,
        group_initial_rebalance_delay_ms: within(
            "group-initial-rebalance-delay-ms",
            delay_ms,
            0..=INITIAL_REBALANCE_DELAY_MS_MAX,
        )?,
        group_max_size: within("group-max-size", layer.group_max_size, 1..=GROUP_SIZE_MAX)?,
        offset_metadata_max_bytes: within(
            "offset-metadata-max-bytes",
            layer.offset_metadata_max_bytes,
            0..=OFFSET_METADATA_MAX,
        )?,
        offsets_retention_minutes: within("offsets-retention-minutes", layer.offsets_retention_minutes, 1..=u32::MAX)?,
        offsets_retention_check_interval_ms: within(
            "offsets-retention-check-interval-ms",
            check_ms,
            RETENTION_CHECK_MS,
        )?,
        ..Settings::default()
    })
}

fn within<T>(key: &str, value: Option<T>, range: std::ops::RangeInclusive<T>) -> anyhow::Result<T>
where
    T: PartialOrd + std::fmt::Display,
{
    let value = required(key, value)?;
    ensure!(range.contains(&value), "{key} is {value}: from {} to {}", range.start(), range.end());
    Ok(value)
}

fn store_config(layer: Layer) -> anyhow::Result<StoreConfig> {
    if let Some(url) = &layer.aws_endpoint {
        check_endpoint("aws-endpoint", url)?;
    }
    match required("store", layer.store)? {
        StoreKind::Memory => Ok(StoreConfig::Memory),
        // A fresh machine must serve with no argument at all, so a missing directory is made.
        StoreKind::Disk => Ok(StoreConfig::Disk { dir: required("data-dir", layer.data_dir)?, create: true }),
        StoreKind::Aws => {
            let Some(bucket) = layer.bucket.filter(|bucket| !bucket.is_empty()) else {
                bail!("the aws store needs a bucket: give --bucket NAME");
            };
            let tables = required("tables", layer.tables)?;
            check_tables(&tables)?;
            Ok(StoreConfig::Aws(AwsStore {
                bucket,
                prefix: checked_prefix(required("prefix", layer.prefix)?)?,
                tables,
                s3_endpoint: layer.aws_endpoint.clone(),
                dynamodb_endpoint: layer.aws_endpoint,
                region: layer.aws_region,
                create: required("create", layer.create)?,
            }))
        }
    }
}

fn check_endpoint(key: &str, url: &str) -> anyhow::Result<()> {
    let rest = url.strip_prefix("http://").or_else(|| url.strip_prefix("https://"));
    let Some(rest) = rest.filter(|rest| !rest.is_empty() && !rest.contains(char::is_whitespace)) else {
        bail!("{key} is {url:?}: give a URL such as http://127.0.0.1:4566");
    };
    // Not echoed: it may hold a password.
    ensure!(!rest.contains('@'), "{key} holds credentials: give them by the SDK's own means, not in the URL");
    Ok(())
}

/// DynamoDB's rule for table names is 3 to 255 of these characters; `-metadata` and `-offsets` follow.
fn check_tables(tables: &str) -> anyhow::Result<()> {
    let legal = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-');
    ensure!(
        (1..=240).contains(&tables.len()) && tables.bytes().all(legal),
        "tables is {tables:?}: 1 to 240 letters, digits, '.', '_' and '-'"
    );
    Ok(())
}

/// The prefix without slashes at its ends; what is left obeys the rules of object keys.
fn checked_prefix(prefix: String) -> anyhow::Result<String> {
    let trimmed = prefix.trim_matches('/');
    if !trimmed.is_empty() && (trimmed.len() > 512 || sluice_store::ObjectKey::new(trimmed).is_err()) {
        bail!(
            "prefix is {prefix:?}: segments of letters, digits, '.', '_' and '-', separated by '/', 512 bytes in all"
        );
    }
    Ok(trimmed.to_owned())
}

fn check_log_level(level: &str) -> anyhow::Result<()> {
    let parsed = tracing_subscriber::EnvFilter::builder().parse(level);
    parsed
        .map(drop)
        .with_context(|| format!("log-level is {level:?}: give error, warn, info, debug or trace, or module=level,…"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn resolve(flags: &str, env: &[(&str, &str)], file: &str) -> anyhow::Result<Resolved> {
        let lookup = |name: &str| env.iter().find(|(n, _)| *n == name).map(|(_, v)| (*v).to_owned());
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("sluice.toml");
        std::fs::write(&path, file).unwrap();
        Resolved::from_sources(Layer::from_toml("flags", flags).unwrap(), &lookup, Some(&path))
    }

    fn aws_of(resolved: &Resolved) -> &AwsStore {
        match &resolved.config.store {
            StoreConfig::Aws(store) => store,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn flags_beat_environment_beats_file_beats_defaults() {
        let file = "node-id = 2\nnum-partitions = 2\nlinger-ms = 2";
        let env = [("SLUICE_NODE_ID", "3"), ("SLUICE_NUM_PARTITIONS", "3"), ("SLUICE_LINGER_MS", "")];
        let resolved = resolve("node-id = 4", &env, file).unwrap();
        assert_eq!(resolved.config.gateway.node_id, 4);
        assert_eq!(resolved.config.gateway.settings.default_partitions, 3);
        assert_eq!(resolved.config.gateway.limits.linger, Duration::from_millis(2), "an empty variable says nothing");
        assert_eq!(resolved.config.listen.to_string(), "127.0.0.1:9092");
    }

    #[test]
    fn the_default_is_the_disk_store_on_the_loopback() {
        let resolved = resolve("", &[], "").unwrap();
        assert_eq!(resolved.config.store, StoreConfig::Disk { dir: "./data".into(), create: true });
        assert_eq!(resolved.config.http, Some("127.0.0.1:9080".parse().unwrap()));
        assert_eq!(resolved.config.gateway.limits, Limits::default(), "the table and design section 14 say the same");
        assert_eq!(resolved.config.gateway.settings, Settings::default(), "the table and the engine say the same");
    }

    #[test]
    fn the_settings_of_connections_reach_the_server_under_kafkas_names() {
        assert_eq!(resolve("", &[], "").unwrap().config.gateway.wire, sluice_server::Limits::default());
        let file = "max-connections = 7\nconnections-max-idle-ms = 1500\nsocket-request-max-bytes = 4096";
        let expected = sluice_server::Limits {
            connections_max: 7,
            idle_timeout: Duration::from_millis(1_500),
            frame_bytes_max: 4_096,
            ..sluice_server::Limits::default()
        };
        assert_eq!(resolve("", &[], file).unwrap().config.gateway.wire, expected);
        for wrong in ["max-connections = 0", "connections-max-idle-ms = 999", "socket-request-max-bytes = 104857601"] {
            assert!(resolve("", &[], wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn the_settings_of_groups_reach_the_engine_under_kafkas_names() {
        let file = "group-min-session-timeout-ms = 1\ngroup-max-session-timeout-ms = 2\n\
            group-initial-rebalance-delay-ms = 3\ngroup-max-size = 4\noffset-metadata-max-bytes = 5\n\
            offsets-retention-minutes = 6\noffsets-retention-check-interval-ms = 7000";
        let expected = Settings {
            group_min_session_timeout_ms: 1,
            group_max_session_timeout_ms: 2,
            group_initial_rebalance_delay_ms: 3,
            group_max_size: 4,
            offset_metadata_max_bytes: 5,
            offsets_retention_minutes: 6,
            offsets_retention_check_interval_ms: 7_000,
            given: KAFKA_NAMES.iter().skip(4).flat_map(|(_, names)| *names).copied().collect(),
            ..Settings::default()
        };
        assert_eq!(resolve("", &[], file).unwrap().config.gateway.settings, expected);
        for key in file.lines().filter_map(|line| line.split(" = ").next()) {
            let setting = SETTINGS.iter().find(|setting| setting.key == key.trim()).unwrap();
            assert!(setting.about.contains(&format!("Kafka's `{}`", key.trim().replace('-', "."))), "{key}");
        }
    }

    #[test]
    fn the_printed_outcome_gives_the_same_outcome() {
        let flags = "store = \"aws\"\nbucket = \"b\"\nprefix = \"/a/b/\"\naws-endpoint = \"http://127.0.0.1:1\"\nhttp = \"off\"";
        let first = resolve(flags, &[("SLUICE_LOG_FORMAT", "json")], "node-id = 9").unwrap();
        let mut second = resolve("", &[], &first.to_toml().unwrap()).unwrap();
        // What is printed speaks of every setting, and that is all in which the two differ.
        let given = &mut second.config.gateway.settings.given;
        assert_eq!(given.len(), KAFKA_NAMES.iter().flat_map(|(_, names)| *names).count());
        given.clone_from(&first.config.gateway.settings.given);
        assert_eq!(first, second);
        assert_eq!(aws_of(&second).prefix, "a/b");
    }

    #[test]
    fn the_sdks_endpoint_variables_beat_the_file_and_yield_to_flags() {
        let file = "store = \"aws\"\nbucket = \"b\"\naws-endpoint = \"http://file:1\"\naws-region = \"file\"";
        let env = [("AWS_ENDPOINT_URL", "http://all:1"), ("AWS_ENDPOINT_URL_S3", "http://s3:1"), ("AWS_REGION", "env")];
        let resolved = resolve("", &env, file).unwrap();
        let store = aws_of(&resolved);
        assert_eq!(store.s3_endpoint.as_deref(), Some("http://s3:1"));
        assert_eq!(store.dynamodb_endpoint.as_deref(), Some("http://all:1"));
        assert_eq!(store.region, None, "left to the SDK, which reads AWS_REGION");
        assert!(
            resolved.to_toml().unwrap().contains("# S3 endpoint from the SDK's environment variables: http://s3:1")
        );
        let resolved = resolve("aws-endpoint = \"http://flag:1\"", &env, file).unwrap();
        assert_eq!(aws_of(&resolved).s3_endpoint.as_deref(), Some("http://flag:1"));
        assert_eq!(aws_of(&resolved).dynamodb_endpoint.as_deref(), Some("http://flag:1"));
    }

    #[test]
    fn each_bad_value_is_refused_in_one_line_that_names_its_setting() {
        let cases = [
            ("node-id = 0", "node-id is 0"),
            ("advertise = \"0.0.0.0:9092\"", "advertise is 0.0.0.0:9092"),
            ("advertise = \"[::]:9092\"", "advertise is [::]:9092"),
            ("advertise = \"host:0\"", "advertise is host:0"),
            ("num-partitions = 0", "num-partitions is 0"),
            ("message-max-bytes = 10", "message-max-bytes is 10"),
            ("group-min-session-timeout-ms = 0", "group-min-session-timeout-ms is 0"),
            ("group-max-session-timeout-ms = 5999", "group-min-session-timeout-ms is 6000"),
            ("group-initial-rebalance-delay-ms = 600001", "group-initial-rebalance-delay-ms is 600001"),
            ("group-max-size = 0", "group-max-size is 0"),
            ("offset-metadata-max-bytes = 32768", "offset-metadata-max-bytes is 32768"),
            ("offsets-retention-minutes = 0", "offsets-retention-minutes is 0"),
            ("offsets-retention-check-interval-ms = 10", "offsets-retention-check-interval-ms is 10"),
            ("linger-ms = 60000", "linger-ms is 60000"),
            ("cache-bytes = 1", "cache-bytes is 1"),
            ("drain-delay-ms = 11000", "drain-delay-ms is 11000"),
            ("worker-threads = 5000", "worker-threads is 5000"),
            ("log-level = \"a=b=c\"", "log-level is"),
            ("store = \"aws\"", "--bucket"),
            ("store = \"aws\"\nbucket = \"\"", "--bucket"),
            ("store = \"aws\"\nbucket = \"b\"\ntables = \"a b\"", "tables is"),
            ("store = \"aws\"\nbucket = \"b\"\nprefix = \"a//b\"", "prefix is"),
            ("aws-endpoint = \"127.0.0.1:4566\"", "aws-endpoint is"),
            ("aws-endpoint = \"http://user:secret@h\"", "aws-endpoint holds credentials"),
        ];
        for (flags, named) in cases {
            let error = format!("{:#}", resolve(flags, &[], "").unwrap_err());
            assert!(error.contains(named) && !error.contains('\n') && !error.contains("secret"), "{flags}: {error}");
        }
    }

    #[test]
    fn kafka_s_names_of_what_was_given_are_known() {
        let given = resolve("num-partitions = 1", &[("SLUICE_GROUP_MAX_SIZE", "5")], "node-id = 2").unwrap();
        let given: Vec<_> = given.config.gateway.settings.given.into_iter().collect();
        assert_eq!(given, ["broker.id", "group.max.size", "node.id", "num.partitions"]);
        for (key, _) in KAFKA_NAMES {
            assert!(SETTINGS.iter().any(|setting| setting.key == *key), "{key}");
        }
    }

    #[test]
    fn a_missing_file_is_named() {
        let missing = Path::new("/nonexistent/sluice.toml");
        let error = format!("{:#}", Resolved::from_sources(Layer::default(), &|_| None, Some(missing)).unwrap_err());
        assert!(error.starts_with("configuration file /nonexistent/sluice.toml: "), "{error}");
    }
}
