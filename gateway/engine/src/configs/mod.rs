//! Configs of topics and brokers under Kafka's names: each is honoured or refused, never silently accepted.
//!
//! Promises: names, types, defaults, rules and the words of refusals are Apache Kafka 4.3.1's (`topic_table`, `broker_table`);
//! what each does here is said in `docs/configuration.md`, which is written from the same tables (`docs`). Never: an API
//! version. Called by the handlers, by CreateTopics and by the produce path.

mod alter;
mod broker_table;
mod describe;
mod docs;
mod levels;
mod other_tables;
mod settings;
mod topic_table;
mod validate;
mod value;

pub use alter::{AlterConfigs, ConfigChange, ConfigOp};
pub use describe::{ConfigResourceKind, ConfigResourceRef, DescribeConfigsAsk, DescribedConfig};
pub use docs::kafka_configs_markdown;
pub use levels::{ConfigSource, ConfigSynonym};
pub use value::ConfigType;

pub(crate) use describe::topic_configs;
pub(crate) use settings::SettingsCache;
pub(crate) use settings::{TopicCompression, TopicSettings};
pub(crate) use validate::for_new_topic;
