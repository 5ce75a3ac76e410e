//! The part of `docs/configuration.md` that is about Kafka's configs, from the tables.

use std::fmt::Write as _;

use super::broker_table::{BROKER_CONFIGS, OTHERS};
use super::topic_table::{TOPIC_CONFIGS, Treatment};

const TOPICS: &str = "
## Configs of topics

Under Kafka's names, with Kafka's types, defaults, rules and words of refusal. *Honoured*: it is acted on. *Stored*: it is
kept and reported, and nothing acts on it yet: nothing is deleted or compacted, whatever it says. *Immaterial*: it is checked,
kept and reported, and governs files or replicas that do not exist here. *Refused*: only what is in force anyway is accepted.
A topic that does not set one has the value of the broker config beside it.

| config | type | default | broker config | here | |
|-|-|-|-|-|-|
";

const BROKERS: &str = "
## Configs of brokers

What DescribeConfigs tells of the broker, and of the empty name, which stands for all brokers. Those that are *dynamic* can be
changed while the gateways run, and are then what topics have that set nothing themselves: what is set on a broker goes before
what is set for all. They are kept with the metadata, so that every gateway of a fleet with that broker id has them. The others
are told by flags, or hold as they are.

| config | type | Kafka's default | dynamic | |
|-|-|-|-|-|
";

/// The text.
#[must_use]
pub fn kafka_configs_markdown() -> String {
    let mut text = TOPICS.to_owned();
    let mut topics: Vec<_> = TOPIC_CONFIGS.iter().collect();
    topics.sort_by_key(|config| config.name);
    for config in topics {
        let here = match config.treatment {
            Treatment::Honoured => "honoured",
            Treatment::Stored => "stored",
            Treatment::Immaterial => "immaterial",
            Treatment::Refused => "refused",
        };
        let synonym = config.synonym.map_or(String::new(), |name| format!("`{name}`"));
        let kind = config.kind.name().to_lowercase();
        let default = shown(config.default);
        // Writing to a string cannot fail.
        let _ = writeln!(text, "| `{}` | {kind} | {default} | {synonym} | {here} | {} |", config.name, config.about);
    }
    text.push_str(BROKERS);
    for config in BROKER_CONFIGS {
        let dynamic = if config.is_dynamic { "yes" } else { "no" };
        let kind = config.kind.name().to_lowercase();
        let default = shown(config.default);
        let _ = writeln!(text, "| `{}` | {kind} | {default} | {dynamic} | {} |", config.name, config.meaning());
    }
    let dynamic = OTHERS.iter().filter(|(_, is_dynamic)| *is_dynamic).count();
    let _ = write!(
        text,
        "\nKafka's other {} broker configs are not told. Setting one of the {dynamic} that Kafka can change while it runs is\n\
         INVALID_CONFIG; setting another is INVALID_REQUEST, as in Kafka. Names that Kafka does not have are kept, and told\n\
         without their value, as in Kafka.\n\n\
         Configs of groups and of client metrics are told with Kafka's defaults and cannot be set (INVALID_CONFIG): they belong\n\
         to protocols that are not served. A broker has no loggers.\n",
        OTHERS.len()
    );
    text
}

fn shown(default: Option<&str>) -> String {
    match default {
        None => String::new(),
        Some("") => "empty".to_owned(),
        Some(text) => format!("`{text}`"),
    }
}
