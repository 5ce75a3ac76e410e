//! Topic configs under Kafka's names: each is honoured or refused, never silently accepted.

mod settings;

use crate::api::TopicConfigValue;
use crate::error::{EngineError, EngineResult};

#[allow(unused_imports, reason = "the produce path begins to read them with the old record formats")]
pub(crate) use settings::{TopicCompression, TopicSettings};

/// A config, its default, and which values are honoured.
struct Known {
    name: &'static str,
    default: &'static str,
    accepts: fn(&str) -> Result<(), &'static str>,
}

const MAX_MESSAGE_BYTES: &str = "max.message.bytes";

/// In name order. Whatever Kafka has and is not here is refused by name: it would not be acted on.
const KNOWN: &[Known] = &[
    Known { name: "cleanup.policy", default: "delete", accepts: |v| only(v, "delete", "compaction is not served yet") },
    Known {
        name: "compression.type",
        default: "producer",
        accepts: |v| only(v, "producer", "batches are kept as the producer compressed them"),
    },
    Known { name: MAX_MESSAGE_BYTES, default: "1048588", accepts: is_message_bytes },
    Known {
        name: "message.timestamp.type",
        default: "CreateTime",
        accepts: |v| only(v, "CreateTime", "LogAppendTime is not served yet"),
    },
    Known { name: "retention.bytes", default: "-1", accepts: |v| only(v, "-1", "retention is not served yet") },
    Known { name: "retention.ms", default: "-1", accepts: |v| only(v, "-1", "retention is not served yet") },
];

fn only(value: &str, honoured: &str, why: &'static str) -> Result<(), &'static str> {
    if value == honoured { Ok(()) } else { Err(why) }
}

fn is_message_bytes(value: &str) -> Result<(), &'static str> {
    match value.parse::<i32>() {
        Ok(bytes) if bytes >= 0 => Ok(()),
        _ => Err("a number of bytes, 0 to 2147483647"),
    }
}

/// Checks configs as a request gives them; a null value means the default.
///
/// # Errors
/// `InvalidConfig` for an unknown name, a name given twice, or a value that is not honoured.
pub(crate) fn check(configs: &[(String, Option<String>)]) -> EngineResult<Vec<(String, String)>> {
    let mut checked: Vec<(String, String)> = Vec::with_capacity(configs.len());
    for (name, value) in configs {
        let known = KNOWN.iter().find(|known| known.name == name);
        let known = known.ok_or_else(|| EngineError::InvalidConfig(format!("unknown topic config name: {name}")))?;
        if checked.iter().any(|(earlier, _)| earlier == name) {
            return Err(EngineError::InvalidConfig(format!("{name} is given twice")));
        }
        let Some(value) = value else { continue };
        (known.accepts)(value).map_err(|why| EngineError::InvalidConfig(format!("{name}={value}: {why}")))?;
        checked.push((name.clone(), value.clone()));
    }
    Ok(checked)
}

/// All configs of a topic that sets `own`, in name order.
pub(crate) fn effective(own: &[(String, String)]) -> Vec<TopicConfigValue> {
    let value_of = |known: &Known| own.iter().find(|(name, _)| name == known.name).map(|(_, value)| value.clone());
    KNOWN
        .iter()
        .map(|known| {
            let own = value_of(known);
            TopicConfigValue {
                name: known.name.to_owned(),
                is_default: own.is_none(),
                value: own.unwrap_or_else(|| known.default.to_owned()),
            }
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ask(name: &str, value: &str) -> Vec<(String, Option<String>)> {
        vec![(name.to_owned(), Some(value.to_owned()))]
    }

    #[test]
    fn configs_are_honoured_or_refused() {
        assert!(check(&ask("max.message.bytes", "2000000")).is_ok());
        assert!(check(&ask("max.message.bytes", "-1")).is_err());
        assert!(check(&ask("cleanup.policy", "compact")).is_err());
        assert!(check(&ask("retention.ms", "1000")).is_err());
        assert!(check(&ask("no.such.config", "1")).is_err());
        assert_eq!(check(&[("retention.ms".to_owned(), None)]).unwrap(), Vec::new());
    }

    #[test]
    fn every_default_is_itself_accepted() {
        for known in KNOWN {
            assert!((known.accepts)(known.default).is_ok(), "{}", known.name);
        }
        assert!(KNOWN.is_sorted_by_key(|known| known.name));
    }
}
