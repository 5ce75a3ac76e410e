//! How the offsets view lies in its table: the one place that knows its keys and attributes.
//!
//! # Table `<tables>-offsets`
//!
//! On-demand capacity, key (`group` string, `topic_slice` string). No index, stream, TTL or transaction. One item per
//! group, topic and slice of 100 partitions, replaced as a whole:
//!
//! | attribute | type | is |
//! |-|-|-|
//! | `group` | S | the group's id |
//! | `topic_slice` | S | `<topic>/<slice>`, the slice in at least 3 decimal digits: all of a topic is one `begins_with` |
//! | `topic`, `topic_id` | S | the topic's name, and its id as Kafka's tools print it |
//! | `offsets` | M of N | partition (decimal, as text) → committed offset; empty when the group has none here any more |
//! | `leader_epochs` | M of N | for the partitions that have one; not there when none has |
//! | `metadata` | M of S | for the partitions that have some; not there when none has |
//! | `metadata_omitted` | BOOL | true, instead of `metadata`, when the item would have been larger than 300,000 bytes |
//! | `committed_at_ms` | M of N | when each offset was committed, in milliseconds since 1970 |
//! | `updated_at` | S | when the item was written, by the gateway's clock: `2026-01-31T12:00:00.000Z` |
//! | `position` | N | the log position of the newest change in it: an item is only replaced by one of a higher position |
//! | `incarnation` | S | the life of the store that the position counts in (L8), 32 hexadecimal digits |
//! | `format` | N | 1 |

use std::collections::HashMap;

use aws_sdk_dynamodb::types::AttributeValue;
use sluice_store::{OffsetsEntry, OffsetsItem};
use uuid::Uuid;

use crate::layout::{self, Item};

/// Partition key.
pub(crate) const GROUP: &str = "group";
/// Sort key.
pub(crate) const TOPIC_SLICE: &str = "topic_slice";
/// The position that a put is conditional on.
pub(crate) const POSITION: &str = "position";

/// The format of the items.
const FORMAT: u64 = 1;
/// Most bytes of an item as DynamoDB counts them, which takes 400 KB: metadata that would make it larger is left out.
const ITEM_BYTES_MAX: usize = 300_000;

/// The sort key of a slice.
pub(crate) fn topic_slice(topic: &str, slice: u32) -> String {
    format!("{topic}/{slice:03}")
}

/// The attributes of an item.
pub(crate) fn encode(item: OffsetsItem) -> Item {
    let mut encoded = Item::from([
        (TOPIC_SLICE.into(), text(topic_slice(&item.topic, item.slice))),
        (GROUP.into(), text(item.group)),
        ("topic".into(), text(item.topic)),
        ("topic_id".into(), text(kafka_uuid(item.topic_id))),
        (POSITION.into(), layout::number(item.position.0)),
        ("updated_at".into(), text(iso_8601(item.updated_at_ms))),
        (layout::INCARNATION.into(), text(item.incarnation.to_string())),
        (layout::FORMAT_NUMBER.into(), layout::number(FORMAT)),
    ]);
    let all = || item.offsets.iter();
    encoded.insert("offsets".into(), map(all(), |entry| number(entry.offset)));
    encoded.insert("committed_at_ms".into(), map(all(), |entry| number(entry.committed_at_ms)));
    let with_epoch = || all().filter(|(_, entry)| entry.leader_epoch >= 0);
    if with_epoch().next().is_some() {
        encoded.insert("leader_epochs".into(), map(with_epoch(), |entry| number(i64::from(entry.leader_epoch))));
    }
    let with_metadata = || all().filter(|(_, entry)| !entry.metadata.is_empty());
    if with_metadata().next().is_some() {
        let metadata = map(with_metadata(), |entry| text(entry.metadata.clone()));
        if weight(&encoded).saturating_add(value_weight(&metadata)) > ITEM_BYTES_MAX {
            encoded.insert("metadata_omitted".into(), AttributeValue::Bool(true));
        } else {
            encoded.insert("metadata".into(), metadata);
        }
    }
    encoded
}

fn text(value: impl Into<String>) -> AttributeValue {
    AttributeValue::S(value.into())
}

fn number(value: i64) -> AttributeValue {
    AttributeValue::N(value.to_string())
}

fn map<'a>(
    entries: impl Iterator<Item = (&'a i32, &'a OffsetsEntry)>,
    value: impl Fn(&OffsetsEntry) -> AttributeValue,
) -> AttributeValue {
    let by_partition: HashMap<_, _> = entries.map(|(partition, entry)| (partition.to_string(), value(entry))).collect();
    AttributeValue::M(by_partition)
}

/// Bytes of an item as DynamoDB counts them, at most.
fn weight(item: &Item) -> usize {
    item.iter().map(|(name, value)| name.len().saturating_add(value_weight(value))).fold(0, usize::saturating_add)
}

fn value_weight(value: &AttributeValue) -> usize {
    match value {
        AttributeValue::S(text) => text.len(),
        AttributeValue::N(digits) => digits.len().div_ceil(2) + 2,
        AttributeValue::M(map) => weight(map).saturating_add(3 + map.len()),
        _ => 1,
    }
}

/// A topic id as Kafka's tools print it: URL-safe base64 without padding.
fn kafka_uuid(id: Uuid) -> String {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let bits = id.as_u128();
    let digit = |shift: u32| {
        // The last digit has 2 bits of the id, and 4 of nothing.
        let six = if shift == 0 { bits << 4 } else { bits >> (shift - 4) } & 0x3F;
        usize::try_from(six).ok().and_then(|six| ALPHABET.get(six)).map_or('?', |&digit| char::from(digit))
    };
    (0..22).rev().map(|place| digit(place * 6)).collect()
}

/// A time as text, in UTC and always of the same length; years from 0 to 9999.
fn iso_8601(ms_since_1970: i64) -> String {
    const YEAR_0_MS: i64 = -62_167_219_200_000;
    const YEAR_9999_END_MS: i64 = 253_402_300_799_999;
    let ms = ms_since_1970.clamp(YEAR_0_MS, YEAR_9999_END_MS);
    let (days, in_day) = (ms.div_euclid(86_400_000), ms.rem_euclid(86_400_000));
    let (year, month, day) = civil_date(days);
    let (hour, minute, second, milli) = (in_day / 3_600_000, in_day / 60_000 % 60, in_day / 1_000 % 60, in_day % 1_000);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{milli:03}Z")
}

/// Year, month and day of the Gregorian calendar, this many days after 1970-01-01.
fn civil_date(days: i64) -> (i64, i64, i64) {
    /// Days of 400 years, after which the calendar repeats itself.
    const CYCLE: i64 = 146_097;
    // Counted from a March: a leap day is then the last of its year. 1970-01-01 is day 719,468 from 0000-03-01.
    let from_march = days + 719_468;
    let (cycle, in_cycle) = (from_march.div_euclid(CYCLE), from_march.rem_euclid(CYCLE));
    let year_of_cycle = (in_cycle - in_cycle / 1_460 + in_cycle / 36_524 - in_cycle / 146_096) / 365;
    let in_year = in_cycle - (365 * year_of_cycle + year_of_cycle / 4 - year_of_cycle / 100);
    // Months from March have 153 days in every five.
    let from_march_month = (5 * in_year + 2) / 153;
    let day = in_year - (153 * from_march_month + 2) / 5 + 1;
    let month = if from_march_month < 10 { from_march_month + 3 } else { from_march_month - 9 };
    (cycle * 400 + year_of_cycle + i64::from(month <= 2), month, day)
}

#[cfg(test)]
#[path = "offsets_item_tests.rs"]
mod tests;
