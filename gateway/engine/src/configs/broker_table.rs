//! The broker configs of Apache Kafka 4.3.1 that mean something here, and the names of all others.
//!
//! Promises: what is in [`BROKER_CONFIGS`] is reported by DescribeConfigs; those among it that give topics their defaults can
//! be changed, where Kafka allows it, and are then what topics that set nothing have. What is in [`OTHERS`] is known and
//! neither reported nor accepted. Read by everything in this folder; `docs/configuration.md` is written from it.

use super::topic_table::topic_config_of_broker;
use super::value::{ConfigType, Rule};

/// A broker config that is reported.
#[derive(Debug)]
pub(crate) struct BrokerConfig {
    pub(crate) name: &'static str,
    pub(crate) kind: ConfigType,
    /// Kafka's default, as Kafka shows it; `None` where there is none.
    pub(crate) default: Option<&'static str>,
    /// What it may be set to. Broker and topic do not always agree.
    pub(crate) rule: Rule,
    /// Whether it can be changed while the gateway runs.
    pub(crate) is_dynamic: bool,
    /// What it is, in words of our own; empty for what is said of the topic config that it gives the default of.
    pub(crate) about: &'static str,
}

impl BrokerConfig {
    /// What it is.
    pub(crate) fn meaning(&self) -> &'static str {
        match self.about {
            "" => topic_config_of_broker(self.name).map_or("", |topic| topic.about),
            about => about,
        }
    }
}

const POLICIES: Rule = Rule::EachOf(&["compact", "delete"]);
const CODECS: Rule = Rule::OneOf(&["uncompressed", "zstd", "lz4", "snappy", "gzip", "producer"]);
const TIMESTAMP_TYPES: Rule = Rule::OneOf(&["CreateTime", "LogAppendTime"]);

/// The table, in name order.
#[rustfmt::skip]
pub(crate) static BROKER_CONFIGS: &[BrokerConfig] = &[
    BrokerConfig { name: "advertised.listeners", kind: ConfigType::List, default: None, rule: Rule::Any, is_dynamic: false, about: "The address that clients are told (`--advertise`)." },
    BrokerConfig { name: "authorizer.class.name", kind: ConfigType::String, default: Some(""), rule: Rule::Any, is_dynamic: false, about: "There is no authorizer." },
    BrokerConfig { name: "auto.create.topics.enable", kind: ConfigType::Boolean, default: Some("true"), rule: Rule::Any, is_dynamic: false, about: "Whether topics come into being on first use (`--auto-create-topics`)." },
    BrokerConfig { name: "broker.id", kind: ConfigType::Int, default: Some("-1"), rule: Rule::Any, is_dynamic: false, about: "As node.id." },
    BrokerConfig { name: "compression.gzip.level", kind: ConfigType::Int, default: Some("-1"), rule: Rule::GzipLevel, is_dynamic: true, about: "" },
    BrokerConfig { name: "compression.lz4.level", kind: ConfigType::Int, default: Some("9"), rule: Rule::Between(1, 17), is_dynamic: true, about: "" },
    BrokerConfig { name: "compression.type", kind: ConfigType::String, default: Some("producer"), rule: CODECS, is_dynamic: true, about: "" },
    BrokerConfig { name: "compression.zstd.level", kind: ConfigType::Int, default: Some("3"), rule: Rule::Between(-131_072, 22), is_dynamic: true, about: "" },
    BrokerConfig { name: "connections.max.idle.ms", kind: ConfigType::Long, default: Some("600000"), rule: Rule::Any, is_dynamic: false, about: "A connection that asks nothing for so long is closed." },
    BrokerConfig { name: "default.replication.factor", kind: ConfigType::Int, default: Some("1"), rule: Rule::Any, is_dynamic: false, about: "Replicas of a topic that is created without a number. The store keeps the copies." },
    BrokerConfig { name: "delete.topic.enable", kind: ConfigType::Boolean, default: Some("true"), rule: Rule::Any, is_dynamic: false, about: "Topics can be deleted." },
    BrokerConfig { name: "fetch.max.bytes", kind: ConfigType::Int, default: Some("57671680"), rule: Rule::Any, is_dynamic: false, about: "Bytes of records in one answer to a Fetch." },
    BrokerConfig { name: "group.initial.rebalance.delay.ms", kind: ConfigType::Int, default: Some("3000"), rule: Rule::Any, is_dynamic: false, about: "How long an empty group waits for more members (`--group-initial-rebalance-delay-ms`)." },
    BrokerConfig { name: "group.max.session.timeout.ms", kind: ConfigType::Int, default: Some("1800000"), rule: Rule::Any, is_dynamic: false, about: "Longest session timeout of a member (`--group-max-session-timeout-ms`)." },
    BrokerConfig { name: "group.max.size", kind: ConfigType::Int, default: Some("2147483647"), rule: Rule::Any, is_dynamic: false, about: "Most members of a group (`--group-max-size`)." },
    BrokerConfig { name: "group.min.session.timeout.ms", kind: ConfigType::Int, default: Some("6000"), rule: Rule::Any, is_dynamic: false, about: "Shortest session timeout of a member (`--group-min-session-timeout-ms`)." },
    BrokerConfig { name: "listener.security.protocol.map", kind: ConfigType::String, default: Some("SASL_SSL:SASL_SSL,PLAINTEXT:PLAINTEXT,SSL:SSL,SASL_PLAINTEXT:SASL_PLAINTEXT"), rule: Rule::Any, is_dynamic: false, about: "Listeners and their protocols: there is one, without encryption." },
    BrokerConfig { name: "listeners", kind: ConfigType::List, default: Some("PLAINTEXT://:9092"), rule: Rule::Any, is_dynamic: false, about: "Where Kafka clients connect (`--listen`)." },
    BrokerConfig { name: "log.cleaner.delete.retention.ms", kind: ConfigType::Long, default: Some("86400000"), rule: Rule::AtLeast(0), is_dynamic: true, about: "" },
    BrokerConfig { name: "log.cleaner.max.compaction.lag.ms", kind: ConfigType::Long, default: Some("9223372036854775807"), rule: Rule::AtLeast(1), is_dynamic: true, about: "" },
    BrokerConfig { name: "log.cleaner.min.cleanable.ratio", kind: ConfigType::Double, default: Some("0.5"), rule: Rule::Between(0, 1), is_dynamic: true, about: "" },
    BrokerConfig { name: "log.cleaner.min.compaction.lag.ms", kind: ConfigType::Long, default: Some("0"), rule: Rule::AtLeast(0), is_dynamic: true, about: "" },
    BrokerConfig { name: "log.cleanup.policy", kind: ConfigType::List, default: Some("delete"), rule: POLICIES, is_dynamic: true, about: "" },
    BrokerConfig { name: "log.flush.interval.messages", kind: ConfigType::Long, default: Some("9223372036854775807"), rule: Rule::AtLeast(1), is_dynamic: true, about: "" },
    BrokerConfig { name: "log.flush.interval.ms", kind: ConfigType::Long, default: None, rule: Rule::Any, is_dynamic: true, about: "" },
    BrokerConfig { name: "log.flush.scheduler.interval.ms", kind: ConfigType::Long, default: Some("9223372036854775807"), rule: Rule::Any, is_dynamic: false, about: "Where the default of flush.ms comes from." },
    BrokerConfig { name: "log.index.interval.bytes", kind: ConfigType::Int, default: Some("4096"), rule: Rule::AtLeast(0), is_dynamic: true, about: "" },
    BrokerConfig { name: "log.index.size.max.bytes", kind: ConfigType::Int, default: Some("10485760"), rule: Rule::AtLeast(4), is_dynamic: true, about: "" },
    BrokerConfig { name: "log.local.retention.bytes", kind: ConfigType::Long, default: Some("-2"), rule: Rule::AtLeast(-2), is_dynamic: true, about: "" },
    BrokerConfig { name: "log.local.retention.ms", kind: ConfigType::Long, default: Some("-2"), rule: Rule::AtLeast(-2), is_dynamic: true, about: "" },
    BrokerConfig { name: "log.message.timestamp.after.max.ms", kind: ConfigType::Long, default: Some("3600000"), rule: Rule::AtLeast(0), is_dynamic: true, about: "" },
    BrokerConfig { name: "log.message.timestamp.before.max.ms", kind: ConfigType::Long, default: Some("9223372036854775807"), rule: Rule::AtLeast(0), is_dynamic: true, about: "" },
    BrokerConfig { name: "log.message.timestamp.type", kind: ConfigType::String, default: Some("CreateTime"), rule: TIMESTAMP_TYPES, is_dynamic: true, about: "" },
    BrokerConfig { name: "log.preallocate", kind: ConfigType::Boolean, default: Some("false"), rule: Rule::Any, is_dynamic: true, about: "" },
    BrokerConfig { name: "log.retention.bytes", kind: ConfigType::Long, default: Some("-1"), rule: Rule::Any, is_dynamic: true, about: "" },
    BrokerConfig { name: "log.retention.hours", kind: ConfigType::Int, default: Some("168"), rule: Rule::Any, is_dynamic: false, about: "Where the default of retention.ms comes from." },
    BrokerConfig { name: "log.retention.minutes", kind: ConfigType::Int, default: None, rule: Rule::Any, is_dynamic: false, about: "Not set: it would go before log.retention.hours." },
    BrokerConfig { name: "log.retention.ms", kind: ConfigType::Long, default: None, rule: Rule::Any, is_dynamic: true, about: "" },
    BrokerConfig { name: "log.roll.hours", kind: ConfigType::Int, default: Some("168"), rule: Rule::Any, is_dynamic: false, about: "Where the default of segment.ms comes from." },
    BrokerConfig { name: "log.roll.jitter.hours", kind: ConfigType::Int, default: Some("0"), rule: Rule::Any, is_dynamic: false, about: "Where the default of segment.jitter.ms comes from." },
    BrokerConfig { name: "log.roll.jitter.ms", kind: ConfigType::Long, default: None, rule: Rule::Any, is_dynamic: true, about: "" },
    BrokerConfig { name: "log.roll.ms", kind: ConfigType::Long, default: None, rule: Rule::Any, is_dynamic: true, about: "" },
    BrokerConfig { name: "log.segment.bytes", kind: ConfigType::Int, default: Some("1073741824"), rule: Rule::AtLeast(1_048_576), is_dynamic: true, about: "" },
    BrokerConfig { name: "log.segment.delete.delay.ms", kind: ConfigType::Long, default: Some("60000"), rule: Rule::AtLeast(0), is_dynamic: true, about: "" },
    BrokerConfig { name: "message.max.bytes", kind: ConfigType::Int, default: Some("1048588"), rule: Rule::AtLeast(0), is_dynamic: true, about: "" },
    BrokerConfig { name: "min.insync.replicas", kind: ConfigType::Int, default: Some("1"), rule: Rule::AtLeast(1), is_dynamic: true, about: "" },
    BrokerConfig { name: "node.id", kind: ConfigType::Int, default: None, rule: Rule::Any, is_dynamic: false, about: "Id of the broker that clients see (`--node-id`)." },
    BrokerConfig { name: "num.partitions", kind: ConfigType::Int, default: Some("1"), rule: Rule::Any, is_dynamic: false, about: "Partitions of a topic that is created without a number (`--num-partitions`)." },
    BrokerConfig { name: "offset.metadata.max.bytes", kind: ConfigType::Int, default: Some("4096"), rule: Rule::Any, is_dynamic: false, about: "Longest text committed with an offset (`--offset-metadata-max-bytes`)." },
    BrokerConfig { name: "offsets.retention.check.interval.ms", kind: ConfigType::Long, default: Some("600000"), rule: Rule::Any, is_dynamic: false, about: "How often offsets to expire are looked for (`--offsets-retention-check-interval-ms`)." },
    BrokerConfig { name: "offsets.retention.minutes", kind: ConfigType::Int, default: Some("10080"), rule: Rule::Any, is_dynamic: false, about: "How long committed offsets of an unused group are kept (`--offsets-retention-minutes`)." },
    BrokerConfig { name: "socket.request.max.bytes", kind: ConfigType::Int, default: Some("104857600"), rule: Rule::Any, is_dynamic: false, about: "Largest request." },
    BrokerConfig { name: "unclean.leader.election.enable", kind: ConfigType::Boolean, default: Some("false"), rule: Rule::Any, is_dynamic: true, about: "" },
];

/// The other broker configs of Apache Kafka 4.3.1, in name order, and whether Kafka can change them while it runs.
#[rustfmt::skip]
pub(crate) static OTHERS: &[(&str, bool)] = &[
    ("add.partitions.to.txn.retry.backoff.max.ms", false), ("add.partitions.to.txn.retry.backoff.ms", false),
    ("alter.config.policy.class.name", false), ("alter.log.dirs.replication.quota.window.num", false),
    ("alter.log.dirs.replication.quota.window.size.seconds", false), ("auto.leader.rebalance.enable", false),
    ("background.threads", true), ("broker.heartbeat.interval.ms", false), ("broker.rack", false),
    ("broker.session.timeout.ms", false), ("client.quota.callback.class", false), ("config.providers", true),
    ("connection.failed.authentication.delay.ms", false), ("connections.max.reauth.ms", false),
    ("controlled.shutdown.enable", false), ("controller.listener.names", false),
    ("controller.performance.always.log.threshold.ms", false), ("controller.performance.sample.period.ms", false),
    ("controller.quorum.append.linger.ms", false), ("controller.quorum.auto.join.enable", false),
    ("controller.quorum.bootstrap.servers", false), ("controller.quorum.election.backoff.max.ms", false),
    ("controller.quorum.election.timeout.ms", false), ("controller.quorum.fetch.max.bytes", false),
    ("controller.quorum.fetch.snapshot.max.bytes", false), ("controller.quorum.fetch.timeout.ms", false),
    ("controller.quorum.request.timeout.ms", false), ("controller.quorum.retry.backoff.ms", false),
    ("controller.quorum.voters", false), ("controller.quota.window.num", false),
    ("controller.quota.window.size.seconds", false), ("controller.socket.timeout.ms", false),
    ("cordoned.log.dirs", true), ("create.topic.policy.class.name", false),
    ("delegation.token.expiry.check.interval.ms", false), ("delegation.token.expiry.time.ms", false),
    ("delegation.token.max.lifetime.ms", false), ("delegation.token.secret.key", false),
    ("delete.records.purgatory.purge.interval.requests", false), ("early.start.listeners", false),
    ("fetch.purgatory.purge.interval.requests", false), ("follower.fetch.last.tiered.offset.enable", true),
    ("follower.replication.throttled.rate", true), ("group.consumer.assignment.interval.ms", true),
    ("group.consumer.assignors", false), ("group.consumer.heartbeat.interval.ms", false),
    ("group.consumer.max.assignment.interval.ms", false), ("group.consumer.max.heartbeat.interval.ms", false),
    ("group.consumer.max.session.timeout.ms", false), ("group.consumer.max.size", false),
    ("group.consumer.migration.policy", false), ("group.consumer.min.assignment.interval.ms", false),
    ("group.consumer.min.heartbeat.interval.ms", false), ("group.consumer.min.session.timeout.ms", false),
    ("group.consumer.regex.refresh.interval.ms", false), ("group.consumer.session.timeout.ms", false),
    ("group.coordinator.append.linger.ms", false), ("group.coordinator.background.threads", false),
    ("group.coordinator.cached.buffer.max.bytes", true), ("group.coordinator.rebalance.protocols", false),
    ("group.coordinator.threads", false), ("group.share.assignment.interval.ms", true),
    ("group.share.assignors", false), ("group.share.delivery.count.limit", false),
    ("group.share.heartbeat.interval.ms", false), ("group.share.initialize.retry.interval.ms", false),
    ("group.share.max.assignment.interval.ms", false), ("group.share.max.delivery.count.limit", false),
    ("group.share.max.heartbeat.interval.ms", false), ("group.share.max.partition.max.record.locks", false),
    ("group.share.max.record.lock.duration.ms", false), ("group.share.max.session.timeout.ms", false),
    ("group.share.max.share.sessions", false), ("group.share.max.size", false),
    ("group.share.min.assignment.interval.ms", false), ("group.share.min.delivery.count.limit", false),
    ("group.share.min.heartbeat.interval.ms", false), ("group.share.min.partition.max.record.locks", false),
    ("group.share.min.record.lock.duration.ms", false), ("group.share.min.session.timeout.ms", false),
    ("group.share.partition.max.record.locks", false), ("group.share.persister.class.name", false),
    ("group.share.record.lock.duration.ms", false), ("group.share.session.timeout.ms", false),
    ("group.streams.assignment.interval.ms", true), ("group.streams.heartbeat.interval.ms", false),
    ("group.streams.initial.rebalance.delay.ms", false), ("group.streams.max.assignment.interval.ms", false),
    ("group.streams.max.heartbeat.interval.ms", false), ("group.streams.max.session.timeout.ms", false),
    ("group.streams.max.size", false), ("group.streams.max.standby.replicas", false),
    ("group.streams.min.assignment.interval.ms", false), ("group.streams.min.heartbeat.interval.ms", false),
    ("group.streams.min.session.timeout.ms", false), ("group.streams.num.standby.replicas", false),
    ("group.streams.session.timeout.ms", false), ("initial.broker.registration.timeout.ms", false),
    ("inter.broker.listener.name", false), ("internal.metadata.delete.delay.millis", false),
    ("internal.metadata.log.segment.bytes", false), ("internal.metadata.max.batch.size.in.bytes", false),
    ("kafka.metrics.polling.interval.secs", false), ("kafka.metrics.reporters", false),
    ("leader.imbalance.check.interval.seconds", false), ("leader.replication.throttled.rate", true),
    ("log.cleaner.backoff.ms", true), ("log.cleaner.dedupe.buffer.size", true), ("log.cleaner.enable", false),
    ("log.cleaner.io.buffer.load.factor", true), ("log.cleaner.io.buffer.size", true),
    ("log.cleaner.io.max.bytes.per.second", true), ("log.cleaner.threads", true), ("log.dir", false),
    ("log.dir.failure.timeout.ms", false), ("log.dirs", false), ("log.flush.offset.checkpoint.interval.ms", false),
    ("log.flush.start.offset.checkpoint.interval.ms", false), ("log.initial.task.delay.ms", false),
    ("log.retention.check.interval.ms", false), ("max.connection.creation.rate", true), ("max.connections", true),
    ("max.connections.per.ip", true), ("max.connections.per.ip.overrides", true),
    ("max.incremental.fetch.session.cache.slots", false), ("max.request.partition.size.limit", false),
    ("metadata.log.dir", false), ("metadata.log.max.record.bytes.between.snapshots", false),
    ("metadata.log.max.snapshot.interval.ms", false), ("metadata.log.segment.bytes", false),
    ("metadata.log.segment.ms", false), ("metadata.max.idle.interval.ms", false),
    ("metadata.max.retention.bytes", false), ("metadata.max.retention.ms", false), ("metric.reporters", true),
    ("metrics.num.samples", false), ("metrics.recording.level", false), ("metrics.sample.window.ms", false),
    ("num.io.threads", true), ("num.network.threads", true), ("num.recovery.threads.per.data.dir", true),
    ("num.replica.alter.log.dirs.threads", false), ("num.replica.fetchers", true),
    ("offsets.commit.timeout.ms", false), ("offsets.load.buffer.size", false),
    ("offsets.topic.compression.codec", false), ("offsets.topic.num.partitions", false),
    ("offsets.topic.replication.factor", false), ("offsets.topic.segment.bytes", false),
    ("principal.builder.class", true), ("process.roles", false), ("producer.id.expiration.check.interval.ms", false),
    ("producer.id.expiration.ms", true), ("producer.purgatory.purge.interval.requests", false),
    ("queued.max.request.bytes", false), ("queued.max.requests", false), ("quota.window.num", false),
    ("quota.window.size.seconds", false), ("remote.fetch.max.wait.ms", true),
    ("remote.list.offsets.request.timeout.ms", true), ("remote.log.index.file.cache.total.size.bytes", true),
    ("remote.log.index.file.cache.ttl.ms", false), ("remote.log.manager.copier.thread.pool.size", true),
    ("remote.log.manager.copy.max.bytes.per.second", true), ("remote.log.manager.copy.quota.window.num", false),
    ("remote.log.manager.copy.quota.window.size.seconds", false),
    ("remote.log.manager.expiration.thread.pool.size", true), ("remote.log.manager.fetch.max.bytes.per.second", true),
    ("remote.log.manager.fetch.quota.window.num", false),
    ("remote.log.manager.fetch.quota.window.size.seconds", false),
    ("remote.log.manager.follower.thread.pool.size", true), ("remote.log.manager.task.interval.ms", false),
    ("remote.log.manager.task.retry.backoff.max.ms", false), ("remote.log.manager.task.retry.backoff.ms", false),
    ("remote.log.manager.task.retry.jitter", false), ("remote.log.manager.thread.pool.size", false),
    ("remote.log.metadata.custom.metadata.max.bytes", false), ("remote.log.metadata.manager.class.name", false),
    ("remote.log.metadata.manager.class.path", false), ("remote.log.metadata.manager.impl.prefix", false),
    ("remote.log.metadata.manager.listener.name", false), ("remote.log.reader.max.pending.tasks", false),
    ("remote.log.reader.threads", true), ("remote.log.storage.manager.class.name", false),
    ("remote.log.storage.manager.class.path", false), ("remote.log.storage.manager.impl.prefix", false),
    ("remote.log.storage.system.enable", false), ("replica.alter.log.dirs.io.max.bytes.per.second", true),
    ("replica.fetch.backoff.ms", false), ("replica.fetch.max.bytes", false), ("replica.fetch.min.bytes", false),
    ("replica.fetch.response.max.bytes", false), ("replica.fetch.wait.max.ms", false),
    ("replica.high.watermark.checkpoint.interval.ms", false), ("replica.lag.time.max.ms", false),
    ("replica.selector.class", false), ("replica.socket.receive.buffer.bytes", false),
    ("replica.socket.timeout.ms", false), ("replication.quota.window.num", false),
    ("replication.quota.window.size.seconds", false), ("request.timeout.ms", false),
    ("sasl.client.callback.handler.class", false), ("sasl.enabled.mechanisms", true), ("sasl.jaas.config", true),
    ("sasl.kerberos.kinit.cmd", true), ("sasl.kerberos.min.time.before.relogin", true),
    ("sasl.kerberos.principal.to.local.rules", true), ("sasl.kerberos.service.name", true),
    ("sasl.kerberos.ticket.renew.jitter", true), ("sasl.kerberos.ticket.renew.window.factor", true),
    ("sasl.login.callback.handler.class", false), ("sasl.login.class", false),
    ("sasl.login.connect.timeout.ms", false), ("sasl.login.read.timeout.ms", false),
    ("sasl.login.refresh.buffer.seconds", true), ("sasl.login.refresh.min.period.seconds", true),
    ("sasl.login.refresh.window.factor", true), ("sasl.login.refresh.window.jitter", true),
    ("sasl.login.retry.backoff.max.ms", false), ("sasl.login.retry.backoff.ms", false),
    ("sasl.mechanism.controller.protocol", false), ("sasl.mechanism.inter.broker.protocol", true),
    ("sasl.oauthbearer.assertion.algorithm", false), ("sasl.oauthbearer.assertion.claim.aud", false),
    ("sasl.oauthbearer.assertion.claim.exp.seconds", false), ("sasl.oauthbearer.assertion.claim.iss", false),
    ("sasl.oauthbearer.assertion.claim.jti.include", false), ("sasl.oauthbearer.assertion.claim.nbf.seconds", false),
    ("sasl.oauthbearer.assertion.claim.sub", false), ("sasl.oauthbearer.assertion.file", false),
    ("sasl.oauthbearer.assertion.private.key.file", false),
    ("sasl.oauthbearer.assertion.private.key.passphrase", false), ("sasl.oauthbearer.assertion.template.file", false),
    ("sasl.oauthbearer.client.credentials.client.id", false),
    ("sasl.oauthbearer.client.credentials.client.secret", false), ("sasl.oauthbearer.clock.skew.seconds", false),
    ("sasl.oauthbearer.expected.audience", false), ("sasl.oauthbearer.expected.issuer", false),
    ("sasl.oauthbearer.jwks.endpoint.refresh.ms", false),
    ("sasl.oauthbearer.jwks.endpoint.retry.backoff.max.ms", false),
    ("sasl.oauthbearer.jwks.endpoint.retry.backoff.ms", false), ("sasl.oauthbearer.jwks.endpoint.url", false),
    ("sasl.oauthbearer.jwt.retriever.class", false), ("sasl.oauthbearer.jwt.validator.class", false),
    ("sasl.oauthbearer.scope", false), ("sasl.oauthbearer.scope.claim.name", false),
    ("sasl.oauthbearer.sub.claim.name", false), ("sasl.oauthbearer.token.endpoint.url", false),
    ("sasl.server.callback.handler.class", false), ("sasl.server.max.receive.size", false),
    ("security.inter.broker.protocol", false), ("security.providers", false), ("server.max.startup.time.ms", false),
    ("share.coordinator.append.linger.ms", false), ("share.coordinator.cached.buffer.max.bytes", true),
    ("share.coordinator.cold.partition.snapshot.interval.ms", false), ("share.coordinator.load.buffer.size", false),
    ("share.coordinator.snapshot.update.records.per.snapshot", false),
    ("share.coordinator.state.topic.compression.codec", false), ("share.coordinator.state.topic.min.isr", false),
    ("share.coordinator.state.topic.num.partitions", false),
    ("share.coordinator.state.topic.prune.interval.ms", false),
    ("share.coordinator.state.topic.replication.factor", false),
    ("share.coordinator.state.topic.segment.bytes", false), ("share.coordinator.threads", false),
    ("share.coordinator.write.timeout.ms", false), ("share.fetch.purgatory.purge.interval.requests", false),
    ("socket.connection.setup.timeout.max.ms", false), ("socket.connection.setup.timeout.ms", false),
    ("socket.listen.backlog.size", false), ("socket.receive.buffer.bytes", false),
    ("socket.send.buffer.bytes", false), ("ssl.allow.dn.changes", false), ("ssl.allow.san.changes", false),
    ("ssl.cipher.suites", true), ("ssl.client.auth", true), ("ssl.enabled.protocols", true),
    ("ssl.endpoint.identification.algorithm", true), ("ssl.engine.factory.class", true), ("ssl.key.password", true),
    ("ssl.keymanager.algorithm", true), ("ssl.keystore.certificate.chain", true), ("ssl.keystore.key", true),
    ("ssl.keystore.location", true), ("ssl.keystore.password", true), ("ssl.keystore.type", true),
    ("ssl.principal.mapping.rules", false), ("ssl.protocol", true), ("ssl.provider", true),
    ("ssl.secure.random.implementation", true), ("ssl.trustmanager.algorithm", true),
    ("ssl.truststore.certificates", true), ("ssl.truststore.location", true), ("ssl.truststore.password", true),
    ("ssl.truststore.type", true), ("telemetry.max.bytes", false),
    ("transaction.abort.timed.out.transaction.cleanup.interval.ms", false), ("transaction.max.timeout.ms", false),
    ("transaction.partition.verification.enable", true),
    ("transaction.remove.expired.transaction.cleanup.interval.ms", false),
    ("transaction.state.log.load.buffer.size", false), ("transaction.state.log.min.isr", false),
    ("transaction.state.log.num.partitions", false), ("transaction.state.log.replication.factor", false),
    ("transaction.state.log.segment.bytes", false), ("transaction.two.phase.commit.enable", false),
    ("transactional.id.expiration.ms", false), ("unclean.leader.election.interval.ms", false),
    ("unstable.api.versions.enable", false), ("unstable.feature.versions.enable", false),
];

/// The config of that name.
pub(crate) fn broker_config(name: &str) -> Option<&'static BrokerConfig> {
    BROKER_CONFIGS.binary_search_by(|config| config.name.cmp(name)).ok().and_then(|index| BROKER_CONFIGS.get(index))
}

/// Whether Kafka has a config of that name that means nothing here; then, whether Kafka can change it while it runs.
pub(crate) fn other_config(name: &str) -> Option<bool> {
    let index = OTHERS.binary_search_by(|(other, _)| (*other).cmp(name)).ok()?;
    OTHERS.get(index).map(|(_, is_dynamic)| *is_dynamic)
}

/// The names whose values a config is looked for under, the first that is set counting (`brokerConfigSynonyms`).
pub(crate) fn broker_synonyms(name: &'static str) -> &'static [&'static str] {
    const RETENTION: &[&str] = &["log.retention.ms", "log.retention.minutes", "log.retention.hours"];
    const ROLL: &[&str] = &["log.roll.ms", "log.roll.hours"];
    const JITTER: &[&str] = &["log.roll.jitter.ms", "log.roll.jitter.hours"];
    const FLUSH: &[&str] = &["log.flush.interval.ms", "log.flush.scheduler.interval.ms"];
    match name {
        "log.flush.interval.ms" => FLUSH,
        _ => [RETENTION, ROLL, JITTER].into_iter().find(|names| names.contains(&name)).unwrap_or(&[]),
    }
}

#[cfg(test)]
mod tests {
    use super::super::topic_table::TOPIC_CONFIGS;
    use super::super::value::checked;
    use super::*;

    #[test]
    fn the_tables_are_in_order_and_hold_every_config_of_kafka() {
        assert!(BROKER_CONFIGS.is_sorted_by_key(|config| config.name));
        assert!(OTHERS.is_sorted_by_key(|(name, _)| *name));
        assert!(OTHERS.iter().all(|(name, _)| broker_config(name).is_none()));
        assert_eq!(BROKER_CONFIGS.len() + OTHERS.len(), 363, "as many as Apache Kafka 4.3.1 has");
    }

    #[test]
    fn every_default_is_itself_accepted_and_every_config_says_what_it_is() {
        for config in BROKER_CONFIGS {
            assert!(config.meaning().ends_with('.'), "{}", config.name);
            if let Some(default) = config.default {
                assert_eq!(checked(config.name, config.kind, config.rule, default).as_deref(), Ok(default));
            }
        }
    }

    #[test]
    fn every_topic_config_takes_its_value_from_a_broker_config_of_its_type() {
        for topic in TOPIC_CONFIGS {
            let Some(synonym) = topic.synonym else { continue };
            let broker = broker_config(synonym).unwrap();
            assert_eq!(broker.kind, topic.kind, "{}", topic.name);
            assert!(broker.is_dynamic, "{synonym}");
        }
    }
}
