//! The one table of settings: command line, environment, file, `--print-config` and `docs/configuration.md` come from it.
//!
//! Promises: a setting has one name everywhere (flag `--data-dir`, file key `data-dir`, environment `SLUICE_DATA_DIR`),
//! one default and one explanation. Never: decides what a combination of settings means ([`super::Config`] does).
//! Called by [`super`], [`super::docs`] and the command line.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::values::{HostPort, HttpListen, LogFormat, StoreKind};

/// One setting, as people see it.
#[derive(Debug, Clone, Copy)]
pub struct Setting {
    /// Its flag without the dashes; also its key in the file.
    pub key: &'static str,
    /// Its environment variable.
    pub env: &'static str,
    /// What its value looks like.
    pub value: &'static str,
    /// Its default; `None` when it has none.
    pub default: Option<&'static str>,
    /// What it does, with units and bounds.
    pub about: &'static str,
}

impl Setting {
    /// True when the flag may stand without a value, which means `true`.
    #[must_use]
    pub fn is_switch(&self) -> bool {
        self.value == SWITCH
    }
}

/// The value of a setting whose flag may stand alone.
const SWITCH: &str = "true|false";
/// The value of a setting that must be told, because its default is `true`.
const CHOICE: &str = "BOOL";

/// Who gave a value, for error messages.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Source {
    Flag,
    Environment,
    Default,
}

impl Source {
    fn name_of(self, setting: &Setting) -> String {
        match self {
            Self::Flag => format!("--{}", setting.key),
            Self::Environment => format!("environment variable {}", setting.env),
            Self::Default => format!("default of {}", setting.key),
        }
    }
}

fn parse<T>(source: Source, setting: &Setting, text: &str) -> anyhow::Result<T>
where
    T: FromStr<Err: fmt::Display>,
{
    text.parse().map_err(|error| {
        let name = source.name_of(setting);
        anyhow::anyhow!("{name}: {error} (got {text:?}, expected {})", setting.value)
    })
}

macro_rules! settings {
    ($($field:ident: $type:ty = $key:literal, $env:literal, $value:expr, $default:expr, $about:literal;)*) => {
        /// Every setting, in the order of the documentation.
        pub const SETTINGS: &[Setting] = &[$(
            Setting { key: $key, env: $env, value: $value, default: $default, about: $about },
        )*];

        /// What one source (the flags, the environment, the file, the defaults) says; `None` where it is silent.
        #[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
        #[serde(deny_unknown_fields, rename_all = "kebab-case")]
        pub struct Layer {
            $(
                #[doc = $about]
                #[serde(skip_serializing_if = "Option::is_none")]
                pub $field: Option<$type>,
            )*
        }

        impl Layer {
            /// The layer of a source that speaks in texts.
            pub(crate) fn from_texts(
                source: Source,
                text_of: impl Fn(&Setting) -> Option<String>,
            ) -> anyhow::Result<Self> {
                let mut settings = SETTINGS.iter();
                Ok(Self {
                    // Fields and table come from the same rows, in the same order.
                    $($field: match settings.next().and_then(|s| Some((s, text_of(s)?))) {
                        Some((setting, text)) => Some(parse(source, setting, &text)?),
                        None => None,
                    },)*
                })
            }

            /// The keys of which it speaks.
            pub(crate) fn keys(&self) -> Vec<&'static str> {
                let keys = [$(self.$field.as_ref().map(|_| $key),)*];
                keys.into_iter().flatten().collect()
            }

            /// This layer where it speaks, `below` where it is silent.
            #[must_use]
            pub fn over(self, below: Self) -> Self {
                Self { $($field: self.$field.or(below.$field),)* }
            }
        }
    };
}

settings! {
    listen: HostPort = "listen", "SLUICE_LISTEN", "HOST:PORT", Some("127.0.0.1:9092"),
        "Where Kafka clients connect. Port 0 takes a free one.";
    advertise: HostPort = "advertise", "SLUICE_ADVERTISE", "HOST:PORT", None,
        "The address that clients are told to connect to: the load balancer's, or the container's as seen from outside. Without it the address listened at, which is refused for 0.0.0.0 and [::] because no client can connect to those.";
    insecure: bool = "insecure", "SLUICE_INSECURE", SWITCH, Some("false"),
        "Allows a listener that other machines can reach although it has no authentication.";
    http: HttpListen = "http", "SLUICE_HTTP", "HOST:PORT|off", Some("127.0.0.1:9080"),
        "Where `/livez`, `/readyz` and `/metrics` are served, without authentication. Port 0 takes a free one, `off` none.";
    node_id: i32 = "node-id", "SLUICE_NODE_ID", "N", Some("1"),
        "The one broker id that clients see, at least 1 (some clients take 0 for \"no broker\").";
    store: StoreKind = "store", "SLUICE_STORE", "memory|disk|aws", Some("disk"),
        "Where records and metadata are kept: `memory` (gone with the process), `disk` (one machine, one process), `aws` (S3 and DynamoDB, any number of gateways).";
    data_dir: PathBuf = "data-dir", "SLUICE_DATA_DIR", "DIR", Some("./data"),
        "Directory of the disk store. It is created when it is missing.";
    bucket: String = "bucket", "SLUICE_BUCKET", "NAME", None,
        "S3 bucket of the aws store, which needs one.";
    prefix: String = "prefix", "SLUICE_PREFIX", "TEXT", Some(""),
        "Put before the key of every S3 object, so that a bucket can be shared: segments of letters, digits, `.`, `_`, `-`, separated by `/`.";
    tables: String = "tables", "SLUICE_TABLES", "TEXT", Some("sluice"),
        "First part of the names of the DynamoDB tables: `<tables>-metadata` and `<tables>-offsets`.";
    aws_endpoint: String = "aws-endpoint", "SLUICE_AWS_ENDPOINT", "URL", None,
        "Endpoint of both S3 and DynamoDB, for emulators and private endpoints. Without it the SDK's own rules hold (`AWS_ENDPOINT_URL`, `AWS_ENDPOINT_URL_S3`, `AWS_ENDPOINT_URL_DYNAMODB`, profile, region).";
    aws_region: String = "aws-region", "SLUICE_AWS_REGION", "NAME", None,
        "AWS region. Without it the SDK's own rules hold (`AWS_REGION`, profile, instance metadata).";
    create: bool = "create", "SLUICE_CREATE", SWITCH, Some("false"),
        "Creates the bucket and the tables of the aws store when they are missing. Does nothing to those that are there.";
    auto_create_topics: bool = "auto-create-topics", "SLUICE_AUTO_CREATE_TOPICS", CHOICE, Some("true"),
        "Kafka's `auto.create.topics.enable`: topics come into being when a client asks for their metadata or produces to them.";
    num_partitions: u32 = "num-partitions", "SLUICE_NUM_PARTITIONS", "N", Some("1"),
        "Kafka's `num.partitions`: partitions of a topic that is created without a number, 1 to 10000.";
    message_max_bytes: u64 = "message-max-bytes", "SLUICE_MESSAGE_MAX_BYTES", "BYTES", Some("1048588"),
        "Kafka's `message.max.bytes`: largest record batch accepted, 1024 to 67108864.";
    group_min_session_timeout_ms: i32 = "group-min-session-timeout-ms", "SLUICE_GROUP_MIN_SESSION_TIMEOUT_MS", "MS", Some("6000"),
        "Kafka's `group.min.session.timeout.ms`: shortest session timeout that a member may ask for, at least 1.";
    group_max_session_timeout_ms: i32 = "group-max-session-timeout-ms", "SLUICE_GROUP_MAX_SESSION_TIMEOUT_MS", "MS", Some("1800000"),
        "Kafka's `group.max.session.timeout.ms`: longest session timeout that a member may ask for, not below the shortest.";
    group_initial_rebalance_delay_ms: u32 = "group-initial-rebalance-delay-ms", "SLUICE_GROUP_INITIAL_REBALANCE_DELAY_MS", "MS", Some("3000"),
        "Kafka's `group.initial.rebalance.delay.ms`: how long an empty group waits for more members after its first one came, at most 600000.";
    group_max_size: u32 = "group-max-size", "SLUICE_GROUP_MAX_SIZE", "N", Some("2147483647"),
        "Kafka's `group.max.size`: most members of one group, at least 1. A group has 10000 at most whatever is set.";
    offset_metadata_max_bytes: usize = "offset-metadata-max-bytes", "SLUICE_OFFSET_METADATA_MAX_BYTES", "N", Some("4096"),
        "Kafka's `offset.metadata.max.bytes`: longest text committed with an offset, in UTF-16 units as Kafka counts them, at most 32767.";
    offsets_retention_minutes: u32 = "offsets-retention-minutes", "SLUICE_OFFSETS_RETENTION_MINUTES", "MINUTES", Some("10080"),
        "Kafka's `offsets.retention.minutes`: how long committed offsets are kept after the last member left, or after the commit where there never was a member; at least 1.";
    offsets_retention_check_interval_ms: u64 = "offsets-retention-check-interval-ms", "SLUICE_OFFSETS_RETENTION_CHECK_INTERVAL_MS", "MS", Some("600000"),
        "Kafka's `offsets.retention.check.interval.ms`: how often a gateway that is in use looks for offsets to expire, 1000 to 86400000.";
    linger_ms: u64 = "linger-ms", "SLUICE_LINGER_MS", "MS", Some("250"),
        "Longest a record waits in the gateway to share an S3 PUT with others, at most 10000. A gateway that has nothing in flight does not wait.";
    cache_bytes: u64 = "cache-bytes", "SLUICE_CACHE_BYTES", "BYTES", Some("268435456"),
        "Memory for segments that were written or read lately, at least 1048576.";
    max_connections: usize = "max-connections", "SLUICE_MAX_CONNECTIONS", "N", Some("10000"),
        "Kafka's `max.connections`: most connections at once, 1 to 1000000; more wait until one closes. Each takes a file descriptor: the limit of open files is raised as far as the system allows it.";
    connections_max_idle_ms: u64 = "connections-max-idle-ms", "SLUICE_CONNECTIONS_MAX_IDLE_MS", "MS", Some("300000"),
        "Kafka's `connections.max.idle.ms`: a connection on which nothing was asked for so long is closed, 1000 to 86400000.";
    socket_request_max_bytes: usize = "socket-request-max-bytes", "SLUICE_SOCKET_REQUEST_MAX_BYTES", "BYTES", Some("104857600"),
        "Kafka's `socket.request.max.bytes`: largest request, 1024 to 104857600; a larger one closes its connection.";
    drain_delay_ms: u64 = "drain-delay-ms", "SLUICE_DRAIN_DELAY_MS", "MS", Some("0"),
        "How long SIGTERM keeps serving while `/readyz` already says no, so that a load balancer can take this gateway out: at most 10000.";
    worker_threads: usize = "worker-threads", "SLUICE_WORKER_THREADS", "N", Some("0"),
        "Threads that serve requests, at most 1024; 0 takes one per core the process may run on.";
    log_format: LogFormat = "log-format", "SLUICE_LOG_FORMAT", "text|json", Some("text"),
        "Form of the log lines on stderr.";
    log_level: String = "log-level", "SLUICE_LOG_LEVEL", "LEVEL", Some("info"),
        "`error`, `warn`, `info`, `debug` or `trace`, or a list per module: `warn,sluice_engine=debug`.";
}

impl Layer {
    /// The defaults of the table.
    pub(crate) fn defaults() -> anyhow::Result<Self> {
        Self::from_texts(Source::Default, |setting| setting.default.map(str::to_owned))
    }

    /// What a TOML text says. The error is one line with the place and the reason.
    pub(crate) fn from_toml(name: &str, text: &str) -> anyhow::Result<Self> {
        toml::from_str(text).map_err(|error| {
            let before = error.span().and_then(|span| text.get(..span.start)).unwrap_or_default();
            let line = before.matches('\n').count() + 1;
            // To people they are keys; serde calls them fields.
            let reason = error.message().replace("unknown field", "unknown key").replace('\n', " ");
            anyhow::anyhow!("{name} line {line}: {reason}")
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_is_derived_from_the_key() {
        for setting in SETTINGS {
            let env = format!("SLUICE_{}", setting.key.to_uppercase().replace('-', "_"));
            assert_eq!(setting.env, env);
            assert!(setting.about.ends_with('.'), "{}", setting.key);
        }
    }

    #[test]
    fn every_default_parses_and_is_a_legal_file() {
        let defaults = Layer::defaults().unwrap();
        let text = toml::to_string(&defaults).unwrap();
        assert_eq!(Layer::from_toml("t", &text).unwrap(), defaults);
        let with_default = SETTINGS.iter().filter(|s| s.default.is_some()).count();
        assert_eq!(text.lines().count(), with_default);
        for setting in SETTINGS {
            assert_eq!(text.contains(&format!("{} = ", setting.key)), setting.default.is_some(), "{}", setting.key);
        }
    }

    #[test]
    fn unknown_key_is_one_line_that_names_it_and_its_place() {
        let error =
            Layer::from_toml("sluice.toml", "listen = \"127.0.0.1:1\"\n\nlissten = 1\n").unwrap_err().to_string();
        assert!(error.starts_with("sluice.toml line 3: unknown key `lissten`"), "{error}");
        assert!(error.contains("`data-dir`") && !error.contains('\n'), "{error}");
    }

    #[test]
    fn wrong_type_and_broken_syntax_are_one_line() {
        for text in ["node-id = \"one\"", "listen = \"nowhere\"", "listen", "[listen]\nx = 1", "node-id = 99999999999"]
        {
            let error = Layer::from_toml("f", text).unwrap_err().to_string();
            assert!(error.starts_with("f line 1: ") && !error.contains('\n'), "{text}: {error}");
        }
    }

    #[test]
    fn a_layer_speaks_over_the_one_below() {
        let upper = Layer::from_toml("u", "node-id = 7").unwrap();
        let lower = Layer::from_toml("l", "node-id = 3\nbucket = \"b\"").unwrap();
        let both = upper.over(lower);
        assert_eq!((both.node_id, both.bucket.as_deref()), (Some(7), Some("b")));
    }

    #[test]
    fn a_bad_text_names_its_source() {
        let text_of = |s: &Setting| (s.key == "node-id").then(|| "x".to_owned());
        let error = Layer::from_texts(Source::Environment, text_of).unwrap_err().to_string();
        assert!(error.contains("SLUICE_NODE_ID") && error.contains("\"x\""), "{error}");
        let error = Layer::from_texts(Source::Flag, text_of).unwrap_err().to_string();
        assert!(error.starts_with("--node-id: "), "{error}");
    }
}
