//! Which topics the members of a group of consumers are subscribed to.
//!
//! The one place that looks into a member's metadata, and only at what every version of it begins with: a version, the
//! topics, the assignor's own data (Kafka's ConsumerProtocolSubscription, version 0).
//! Promises: what cannot be read counts as "subscribed to everything", so that nothing is deleted by mistake; no bytes of a
//! client panic or allocate past their own length (I-09).
//! Called for OffsetDelete, and for the expiry of offsets.

use std::collections::BTreeSet;

use sluice_metadata::Group;

use super::join::chosen_metadata;
use super::payload::read_payload;
use crate::cache::SegmentReader;
use crate::error::EngineResult;

/// The protocol type of groups of consumers.
pub(crate) const CONSUMER: &str = "consumer";

/// The topics that a group's members are subscribed to; `None`: not known, to be taken for all of them.
///
/// As Kafka: known while the group is empty, and while it has a protocol and every member's metadata can be read.
///
/// # Errors
/// When a large payload could not be read.
pub(crate) async fn subscribed_topics(reader: &SegmentReader, group: &Group) -> EngineResult<Option<BTreeSet<String>>> {
    if group.members.is_empty() {
        return Ok(Some(BTreeSet::new()));
    }
    if group.protocol_type.as_deref() != Some(CONSUMER) || group.protocol.is_none() {
        return Ok(None);
    }
    let mut topics = BTreeSet::new();
    for member in group.members.values() {
        let Some(metadata) = chosen_metadata(group, member) else { return Ok(None) };
        match parse_topics(&read_payload(reader, metadata).await?) {
            Some(names) => topics.extend(names),
            None => return Ok(None),
        }
    }
    Ok(Some(topics))
}

/// The topics of one subscription.
fn parse_topics(metadata: &[u8]) -> Option<Vec<String>> {
    let mut rest = metadata;
    let version = i16::from_be_bytes(take(&mut rest)?);
    let count = i32::from_be_bytes(take(&mut rest)?);
    if version < 0 {
        return None;
    }
    let mut topics = Vec::new();
    for _ in 0..usize::try_from(count).ok()? {
        let len = usize::try_from(i16::from_be_bytes(take(&mut rest)?)).ok()?;
        let (name, after) = rest.split_at_checked(len)?;
        topics.push(String::from_utf8(name.to_vec()).ok()?);
        rest = after;
    }
    // The assignor's data may be null (−1), but its length is always there.
    let len = i32::from_be_bytes(take(&mut rest)?);
    (len == -1 || usize::try_from(len).is_ok_and(|len| len <= rest.len())).then_some(topics)
}

fn take<const N: usize>(rest: &mut &[u8]) -> Option<[u8; N]> {
    let (head, after) = rest.split_first_chunk::<N>()?;
    *rest = after;
    Some(*head)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn subscription(version: i16, topics: &[&str], after: &[u8]) -> Vec<u8> {
        let mut bytes = version.to_be_bytes().to_vec();
        bytes.extend(i32::try_from(topics.len()).unwrap().to_be_bytes());
        for topic in topics {
            bytes.extend(i16::try_from(topic.len()).unwrap().to_be_bytes());
            bytes.extend(topic.as_bytes());
        }
        bytes.extend(after);
        bytes
    }

    #[test]
    fn the_topics_of_any_version_are_read() {
        let null = (-1i32).to_be_bytes();
        assert_eq!(parse_topics(&subscription(0, &["a", "b"], &null)).unwrap(), ["a", "b"]);
        // What later versions append is not looked at.
        let later = [&null[..], b"owned partitions, generation, rack"].concat();
        assert_eq!(parse_topics(&subscription(3, &["a"], &later)).unwrap(), ["a"]);
        assert!(parse_topics(&subscription(1, &[], &[0, 0, 0, 1, 9])).unwrap().is_empty());
    }

    // Holds: I-09
    #[test]
    fn what_is_no_subscription_is_not_taken_for_one() {
        let null = (-1i32).to_be_bytes();
        let whole = subscription(0, &["topic"], &null);
        for end in 0..whole.len() {
            assert_eq!(parse_topics(&whole[..end]), None, "cut at {end}");
        }
        assert_eq!(parse_topics(&subscription(-1, &["a"], &null)), None);
        assert_eq!(parse_topics(&[0, 0, 0x7f, 0xff, 0xff, 0xff]), None, "a count beyond the bytes");
        assert_eq!(parse_topics(&[0, 0, 0xff, 0xff, 0xff, 0xff]), None, "a negative count");
        assert_eq!(parse_topics(&subscription(0, &["a"], &[0x7f, 0, 0, 0])), None, "data beyond the bytes");
    }
}
