//! Which sets of configs a topic or a broker may have: each config is honoured or refused, with Kafka's words.
//!
//! Promises: what passes is within State's bounds and means something to the rest of the engine, or is said to mean nothing
//! in `docs/configuration.md`. Never: changes anything. Called by CreateTopics and by `alter`.

use sluice_metadata::limits::{CONFIG_NAME_BYTES, CONFIG_VALUE_BYTES, CONFIGS_PER_TOPIC};

use super::broker_table::{broker_config, other_config};
use super::levels::Levels;
use super::topic_table::{TOPIC_CONFIGS, topic_config};
use super::value::checked;
use crate::error::{EngineError, EngineResult};

/// A set of configs, each name once, in name order.
pub(crate) type ConfigValues = std::collections::BTreeMap<String, String>;

fn refused<T>(why: impl Into<String>) -> EngineResult<T> {
    Err(EngineError::InvalidConfig(why.into()))
}

/// The configs of a new topic as a request gives them: of a name given twice the last one counts.
///
/// # Errors
/// `InvalidConfig` for a null value, an unknown name, a value it cannot have.
pub(crate) fn for_new_topic(levels: &Levels<'_>, asked: &[(String, Option<String>)]) -> EngineResult<ConfigValues> {
    let nulls: Vec<&str> = asked.iter().filter(|(_, value)| value.is_none()).map(|(name, _)| name.as_str()).collect();
    if !nulls.is_empty() {
        return refused(format!("Null value not supported for topic configs: {}", shortened(&nulls.join(","))));
    }
    let given = asked.iter().filter_map(|(name, value)| Some((name.clone(), value.clone()?)));
    let names = asked.iter().map(|(name, _)| name.as_str());
    let values: ConfigValues = given.collect();
    check_topic(levels, names, &values)?;
    Ok(values)
}

/// Checks the whole set of a topic; `names` are those that somebody now gives, in that order: they are looked at first.
///
/// # Errors
/// `InvalidConfig`.
pub(crate) fn check_topic<'a>(
    levels: &Levels<'_>,
    mut names: impl Iterator<Item = &'a str>,
    values: &ConfigValues,
) -> EngineResult<()> {
    if let Some(unknown) = names.find(|name| values.contains_key(*name) && topic_config(name).is_none()) {
        return refused(format!("Unknown topic config name: {}", shortened(unknown)));
    }
    for config in TOPIC_CONFIGS {
        if let Some(value) = values.get(config.name) {
            checked(config.name, config.kind, config.rule, value).or_else(|why| refused(shortened(&why)))?;
        }
    }
    check_bounds(values)?;
    let number = |name: &str| -> i64 {
        let value = topic_config(name).and_then(|config| levels.topic_value(config, values.get(name).map(|v| &**v)));
        value.and_then(|value| value.parse().ok()).unwrap_or_default()
    };
    let (min, max) = (number("min.compaction.lag.ms"), number("max.compaction.lag.ms"));
    if min > max {
        return refused(format!(
            "conflict topic config setting min.compaction.lag.ms ({min}) > max.compaction.lag.ms ({max})"
        ));
    }
    if values.get("remote.storage.enable").is_some_and(|value| value.trim().eq_ignore_ascii_case("true")) {
        return refused(
            "Tiered Storage functionality is disabled in the broker. \
             Topic cannot be configured with remote log storage.",
        );
    }
    Ok(())
}

/// Checks the whole set of a broker, or of all of them.
///
/// # Errors
/// As Kafka, `InvalidRequest` for a config that cannot be changed while a broker runs and for a value that it cannot have;
/// `InvalidConfig` for one that Kafka can change and that means nothing here. Names that Kafka does not have are custom
/// ones: kept, as Kafka does.
pub(crate) fn check_broker(values: &ConfigValues) -> EngineResult<()> {
    let is_fixed = |name: &str| match broker_config(name) {
        Some(config) => !config.is_dynamic,
        None => other_config(name) == Some(false),
    };
    let fixed: Vec<&str> = values.keys().map(String::as_str).filter(|name| is_fixed(name)).collect();
    if !fixed.is_empty() {
        let names = fixed.join(", ");
        return Err(EngineError::InvalidRequest(format!("Cannot update these configs dynamically: [{names}]")));
    }
    for (name, value) in values {
        match broker_config(name) {
            Some(config) => {
                let checked = checked(name, config.kind, config.rule, value);
                checked.map_err(|why| EngineError::InvalidRequest(shortened(&why)))?;
            }
            None if other_config(name) == Some(true) || name.starts_with("listener.name.") => {
                return refused(format!("{} governs what does not exist here", shortened(name)));
            }
            None => {}
        }
    }
    check_bounds(values)
}

/// State's own bounds (I-14).
fn check_bounds(values: &ConfigValues) -> EngineResult<()> {
    if values.len() > CONFIGS_PER_TOPIC {
        return refused(format!("{} configs; at most {CONFIGS_PER_TOPIC} can be set", values.len()));
    }
    for (name, value) in values {
        if name.is_empty() || name.len() > CONFIG_NAME_BYTES {
            return refused(format!("a config's name has 1 to {CONFIG_NAME_BYTES} bytes"));
        }
        if value.len() > CONFIG_VALUE_BYTES {
            return refused(format!("the value of {name} has {} bytes; at most {CONFIG_VALUE_BYTES}", value.len()));
        }
    }
    Ok(())
}

/// What a client sent, as far as it is worth repeating to it.
pub(crate) fn shortened(text: &str) -> String {
    const SHOWN: usize = 512;
    match text.char_indices().nth(SHOWN) {
        Some((end, _)) => format!("{}…", text.get(..end).unwrap_or_default()),
        None => text.to_owned(),
    }
}
