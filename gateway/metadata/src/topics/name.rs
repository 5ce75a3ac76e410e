//! What a topic may be called: Kafka's rules (`org.apache.kafka.common.internals.Topic`).

use crate::limits;

/// True for 1 to 249 characters of `[A-Za-z0-9._-]`, "." and ".." excepted.
#[must_use]
pub fn is_legal_topic_name(name: &str) -> bool {
    let legal = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-');
    !name.is_empty() && name.len() <= limits::TOPIC_NAME_BYTES && name != "." && name != ".." && name.bytes().all(legal)
}

/// The form in which two colliding names are equal, '_' for every '.'; `None` for names that cannot collide.
///
/// Kafka refuses such pairs because metric names have no '.'.
pub(crate) fn unify_name(name: &str) -> Option<String> {
    name.contains(['.', '_']).then(|| name.replace('.', "_"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kafka_s_rules_for_names_hold() {
        for legal in ["a", "A.b_c-9", "...", "__consumer_offsets", &"x".repeat(249)] {
            assert!(is_legal_topic_name(legal), "{legal}");
        }
        for illegal in ["", ".", "..", "a b", "a/b", "ä", "a\0", "a:b", &"x".repeat(250)] {
            assert!(!is_legal_topic_name(illegal), "{illegal}");
        }
    }

    #[test]
    fn names_collide_that_differ_only_in_dot_and_underscore() {
        assert_eq!(unify_name("a.b_c"), unify_name("a_b.c"));
        assert_ne!(unify_name("a.b"), unify_name("a.bc"));
        assert_eq!(unify_name("a-b"), None);
    }
}
