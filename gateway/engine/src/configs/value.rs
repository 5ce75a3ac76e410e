//! Values of configs: their types and what they may be, with the words in which Kafka refuses the others.
//!
//! Promises: a value is accepted iff Kafka's `ConfigDef` accepts it, and is shown as Kafka shows it: numbers as Java writes
//! them, lists without blanks. Never: knows a config by name. Called by the tables and by whoever checks or shows a value.

/// The type of a config's value (`ConfigDef.Type`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ConfigType {
    /// Of a config that is not known: custom ones of a broker.
    Unknown,
    /// `true` or `false`.
    Boolean,
    /// Any text.
    String,
    /// 32 bits.
    Int,
    /// 64 bits.
    Long,
    /// A floating-point number.
    Double,
    /// Texts separated by commas.
    List,
}

impl ConfigType {
    /// Kafka's name of it.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Unknown => "UNKNOWN",
            Self::Boolean => "BOOLEAN",
            Self::String => "STRING",
            Self::Int => "INT",
            Self::Long => "LONG",
            Self::Double => "DOUBLE",
            Self::List => "LIST",
        }
    }
}

/// What a value may be beyond its type (Kafka's validators).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Rule {
    /// Anything.
    Any,
    /// At least this.
    AtLeast(i64),
    /// Both ends included.
    Between(i64, i64),
    /// 1 to 9, or −1 for the library's own choice.
    GzipLevel,
    /// One of these texts.
    OneOf(&'static [&'static str]),
    /// A list of these texts.
    EachOf(&'static [&'static str]),
    /// `*`, or a list of `partition:broker`.
    ThrottledReplicas,
}

/// Java's `trim`: everything up to the blank goes.
pub(crate) fn trimmed(value: &str) -> &str {
    value.trim_matches(|c| c <= ' ')
}

/// The elements of a list.
pub(crate) fn elements(value: &str) -> Vec<&str> {
    match trimmed(value) {
        "" => Vec::new(),
        list => list.split(',').map(trimmed).collect(),
    }
}

/// Checks a value of the config `name` and gives it as Kafka shows it.
///
/// # Errors
/// What Kafka says of it.
pub(crate) fn checked(name: &str, kind: ConfigType, rule: Rule, value: &str) -> Result<String, String> {
    let shown = parsed(kind, value).map_err(|why| invalid(name, value, &why))?;
    check_rule(name, kind, rule, &shown)?;
    // KIP-1161, where the elements are known ones.
    Ok(if matches!(rule, Rule::EachOf(_)) { distinct(&shown) } else { shown })
}

/// A list with each element where it stands first.
fn distinct(list: &str) -> String {
    let mut told: Vec<&str> = Vec::new();
    for element in elements(list) {
        if !told.contains(&element) {
            told.push(element);
        }
    }
    told.join(",")
}

fn invalid(name: &str, value: &str, why: &str) -> String {
    format!("Invalid value {value} for configuration {name}: {why}")
}

/// A value of a type as Kafka shows it.
fn parsed(kind: ConfigType, value: &str) -> Result<String, String> {
    let text = trimmed(value);
    let no_number = || format!("Not a number of type {}", kind.name());
    match kind {
        ConfigType::Unknown => Ok(value.to_owned()),
        ConfigType::String => Ok(text.to_owned()),
        ConfigType::Boolean => match text.to_ascii_lowercase().as_str() {
            "true" => Ok("true".to_owned()),
            "false" => Ok("false".to_owned()),
            _ => Err("Expected value to be either true or false".to_owned()),
        },
        ConfigType::Int => text.parse::<i32>().map(|number| number.to_string()).map_err(|_| no_number()),
        ConfigType::Long => text.parse::<i64>().map(|number| number.to_string()).map_err(|_| no_number()),
        ConfigType::Double => parse_double(text).map(show_double).ok_or_else(no_number),
        ConfigType::List => Ok(elements(text).join(",")),
    }
}

/// `Double.parseDouble`, but for hexadecimal ones.
fn parse_double(text: &str) -> Option<f64> {
    let number = text.strip_suffix(['f', 'F', 'd', 'D']).unwrap_or(text);
    match number.trim_start_matches(['+', '-']) {
        "NaN" | "Infinity" => text.parse().ok(),
        // Rust reads words that Java does not.
        digits if digits.starts_with(|c: char| c.is_ascii_digit() || c == '.') => number.parse().ok(),
        _ => None,
    }
}

/// `Double.toString`.
fn show_double(number: f64) -> String {
    let size = number.abs();
    if number.is_nan() {
        return "NaN".to_owned();
    }
    if number.is_infinite() {
        return if number > 0.0 { "Infinity" } else { "-Infinity" }.to_owned();
    }
    if size == 0.0 || (1e-3..1e7).contains(&size) {
        return format!("{number:?}");
    }
    let text = format!("{number:e}");
    match text.split_once('e') {
        Some((digits, exponent)) if digits.contains('.') => format!("{digits}E{exponent}"),
        Some((digits, exponent)) => format!("{digits}.0E{exponent}"),
        None => text,
    }
}

fn check_rule(name: &str, kind: ConfigType, rule: Rule, shown: &str) -> Result<(), String> {
    let refused = |value: &str, why: String| Err(invalid(name, value, &why));
    match rule {
        Rule::Any => Ok(()),
        Rule::AtLeast(least) => check_range(name, kind, shown, least, None),
        Rule::Between(least, most) => check_range(name, kind, shown, least, Some(most)),
        Rule::GzipLevel => match shown.parse::<i32>() {
            Ok(-1 | 1..=9) => Ok(()),
            _ => refused(shown, "Value must be between 1 and 9 or equal to -1".to_owned()),
        },
        Rule::OneOf(texts) if texts.contains(&shown) => Ok(()),
        Rule::OneOf(texts) => refused(shown, one_of(texts)),
        Rule::EachOf(texts) => {
            let given = elements(shown);
            if given.iter().any(|element| element.is_empty()) {
                return Err(format!("Configuration '{name}' values must not be empty."));
            }
            match given.iter().find(|element| !texts.contains(element)) {
                Some(element) => refused(element, one_of(texts)),
                None => Ok(()),
            }
        }
        Rule::ThrottledReplicas => check_throttled(name, shown),
    }
}

fn one_of(texts: &[&str]) -> String {
    format!("String must be one of: {}", texts.join(", "))
}

fn check_range(name: &str, kind: ConfigType, shown: &str, least: i64, most: Option<i64>) -> Result<(), String> {
    // Java compares as doubles, and nothing is below or above NaN.
    let (below, above) = match kind {
        ConfigType::Double => {
            let number = parse_double(shown).unwrap_or(f64::NAN);
            (number < as_double(least), most.is_some_and(|most| number > as_double(most)))
        }
        _ => {
            let number = shown.parse::<i64>().unwrap_or_default();
            (number < least, most.is_some_and(|most| number > most))
        }
    };
    match (below, above, most) {
        (true, _, _) => Err(invalid(name, shown, &format!("Value must be at least {least}"))),
        (_, true, Some(most)) => Err(invalid(name, shown, &format!("Value must be no more than {most}"))),
        _ => Ok(()),
    }
}

/// Bounds are small numbers.
fn as_double(bound: i64) -> f64 {
    i32::try_from(bound).map_or(f64::NAN, f64::from)
}

fn check_throttled(name: &str, shown: &str) -> Result<(), String> {
    let replicas = elements(shown);
    let is_number = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let is_replica = |text: &&str| text.split_once(':').is_some_and(|(p, b)| is_number(p) && is_number(b));
    if replicas == ["*"] || replicas.iter().all(is_replica) {
        return Ok(());
    }
    let why = format!(
        "{name} must be the literal '*' or a list of replicas in the following format: \
         [partitionId]:[brokerId],[partitionId]:[brokerId],..."
    );
    Err(invalid(name, &format!("[{}]", replicas.join(", ")), &why))
}

#[cfg(test)]
mod tests {
    use super::*;

    const POLICIES: Rule = Rule::EachOf(&["compact", "delete"]);

    fn why(kind: ConfigType, rule: Rule, value: &str) -> String {
        let refused = checked("c", kind, rule, value).unwrap_err();
        refused.replace(&format!("Invalid value {value} for configuration c: "), "")
    }

    /// What Apache Kafka 4.3.1 shows for what it was given.
    #[test]
    fn values_are_shown_as_kafka_shows_them() {
        let cases = [
            (ConfigType::List, POLICIES, " delete , compact ", "delete,compact"),
            (ConfigType::List, POLICIES, "delete,delete", "delete"),
            (ConfigType::List, POLICIES, "", ""),
            (ConfigType::List, POLICIES, " ", ""),
            (ConfigType::Int, Rule::AtLeast(1_048_576), "+2000000", "2000000"),
            (ConfigType::Int, Rule::Any, " 5 ", "5"),
            (ConfigType::Long, Rule::Any, "-100", "-100"),
            (ConfigType::Boolean, Rule::Any, "TRUE", "true"),
            (ConfigType::Double, Rule::Between(0, 1), "1e-5", "1.0E-5"),
            (ConfigType::Double, Rule::Between(0, 1), "0.50", "0.5"),
            (ConfigType::Double, Rule::Between(0, 1), "1", "1.0"),
            (ConfigType::Double, Rule::Between(0, 1), "0.5f", "0.5"),
            (ConfigType::Double, Rule::Between(0, 1), "NaN", "NaN"),
            (ConfigType::String, Rule::OneOf(&["gzip"]), " gzip ", "gzip"),
            (ConfigType::List, Rule::ThrottledReplicas, "*", "*"),
            (ConfigType::List, Rule::ThrottledReplicas, "0:1,1:2", "0:1,1:2"),
            (ConfigType::List, Rule::ThrottledReplicas, "0:1,0:1", "0:1,0:1"),
            (ConfigType::List, Rule::ThrottledReplicas, "", ""),
            (ConfigType::Int, Rule::GzipLevel, "-1", "-1"),
        ];
        for (kind, rule, value, shown) in cases {
            assert_eq!(checked("c", kind, rule, value), Ok(shown.to_owned()), "{value:?}");
        }
    }

    /// The words of Apache Kafka 4.3.1.
    #[test]
    fn values_are_refused_in_kafka_s_words() {
        let cases = [
            (ConfigType::Long, Rule::Any, "five", "Not a number of type LONG"),
            (ConfigType::Long, Rule::Any, "1.0", "Not a number of type LONG"),
            (ConfigType::Long, Rule::Any, "9223372036854775808", "Not a number of type LONG"),
            (ConfigType::Int, Rule::Any, "2147483648", "Not a number of type INT"),
            (ConfigType::Int, Rule::Any, "", "Not a number of type INT"),
            (ConfigType::Double, Rule::Any, "x", "Not a number of type DOUBLE"),
            (ConfigType::Double, Rule::Any, "inf", "Not a number of type DOUBLE"),
            (ConfigType::Boolean, Rule::Any, "yes", "Expected value to be either true or false"),
            (ConfigType::Long, Rule::AtLeast(-1), "-5", "Value must be at least -1"),
            (ConfigType::Int, Rule::Between(1, 17), "18", "Value must be no more than 17"),
            (ConfigType::Double, Rule::Between(0, 1), "1.5", "Value must be no more than 1"),
            (ConfigType::Int, Rule::GzipLevel, "0", "Value must be between 1 and 9 or equal to -1"),
            (ConfigType::String, Rule::OneOf(&["a", "b"]), "c", "String must be one of: a, b"),
            (ConfigType::List, POLICIES, "Delete", "String must be one of: compact, delete"),
            (ConfigType::List, POLICIES, "delete,", "Configuration 'c' values must not be empty."),
        ];
        for (kind, rule, value, reason) in cases {
            assert_eq!(why(kind, rule, value), reason, "{value:?}");
        }
        let refused = checked("c", ConfigType::List, Rule::ThrottledReplicas, "0:1,*").unwrap_err();
        assert!(
            refused.starts_with("Invalid value [0:1, *] for configuration c: c must be the literal '*'"),
            "{refused}"
        );
        let refused = checked("c", ConfigType::List, POLICIES, "x,delete").unwrap_err();
        assert_eq!(refused, "Invalid value x for configuration c: String must be one of: compact, delete");
    }
}
