//! The head item: where the log ends, and its last elements.

use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::types::AttributeValue;
use bytes::Bytes;
use sluice_store::{Consistency, Element, Incarnation, LogPosition, StoreError, StoreErrorKind, StoreResult, Tail};

use crate::classify::Effect;
use crate::layout::{self, Item};
use crate::table::{LogTable, classify_on, missing_head};

/// Bytes of the head besides its elements, as DynamoDB counts them: names and values of the other attributes.
const HEAD_BASE_BYTES: usize = 90;

/// The head as one request saw it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Head {
    /// Position of the first element here; of the next one, when there is none.
    pub(crate) first: LogPosition,
    /// Encoded.
    pub(crate) elements: Vec<Bytes>,
    pub(crate) incarnation: Incarnation,
    /// Position of the newest snapshot.
    pub(crate) snapshot: Option<LogPosition>,
}

impl Head {
    /// The position the next element will have.
    pub(crate) fn end(&self) -> LogPosition {
        LogPosition(self.first.0.saturating_add(self.elements.len() as u64))
    }

    /// Its size as DynamoDB counts it: a list costs a byte per element.
    pub(crate) fn bytes(&self) -> usize {
        HEAD_BASE_BYTES + self.elements.iter().map(|element| element.len() + 1).sum::<usize>()
    }

    /// The elements from `wanted` on, or all when it is before them.
    pub(crate) fn tail_from(&self, wanted: LogPosition) -> StoreResult<Tail> {
        let skip =
            usize::try_from(wanted.0.saturating_sub(self.first.0)).unwrap_or(usize::MAX).min(self.elements.len());
        let elements: StoreResult<Vec<Element>> = self.elements.iter().skip(skip).map(layout::decode_element).collect();
        Ok(Tail { first: LogPosition(self.first.0.saturating_add(skip as u64)), elements: elements? })
    }

    /// The attributes of an empty log's head.
    pub(crate) fn new_item(incarnation: Incarnation) -> Item {
        let mut item = layout::head_key().into_item();
        item.insert(layout::FIRST.into(), layout::number(layout::FIRST_POSITION.0));
        item.insert(layout::TAIL.into(), AttributeValue::L(Vec::new()));
        item.insert(layout::INCARNATION.into(), AttributeValue::S(incarnation.to_string()));
        item.insert(layout::FORMAT_NUMBER.into(), layout::number(layout::FORMAT));
        item
    }

    /// Reads a head's attributes.
    ///
    /// # Errors
    /// `Invalid` for another format; `Corrupt` when it makes no sense.
    pub(crate) fn parse(mut item: Item) -> StoreResult<Self> {
        let format = layout::take_number(&mut item, layout::FORMAT_NUMBER)?;
        if format != layout::FORMAT {
            let ours = layout::FORMAT;
            let message = format!("the metadata log has format {format}, this build knows {ours}: use a newer build");
            return Err(StoreError::new(StoreErrorKind::Invalid, message));
        }
        let digits = layout::take_string(&mut item, layout::INCARNATION)?;
        let incarnation = u128::from_str_radix(&digits, 16).map_err(|_| layout::corrupt("the head's incarnation"))?;
        let first = LogPosition(layout::take_number(&mut item, layout::FIRST)?);
        if first < layout::FIRST_POSITION {
            return Err(layout::corrupt("the head begins at position 0"));
        }
        let snapshot = match item.remove(layout::SNAPSHOT) {
            None => None,
            Some(AttributeValue::M(mut snapshot)) => {
                Some(LogPosition(layout::take_number(&mut snapshot, layout::SNAPSHOT_POSITION)?))
            }
            Some(_) => return Err(layout::corrupt("the head's snapshot")),
        };
        let elements = layout::take_elements(&mut item, layout::TAIL)?;
        Ok(Self { first, elements, incarnation: Incarnation(incarnation), snapshot })
    }
}

/// Reads the head of whatever log is in this table; `what` says for which purpose.
pub(crate) async fn read_any(client: &Client, table: &str, consistency: Consistency, what: &str) -> StoreResult<Head> {
    let request = client
        .get_item()
        .table_name(table)
        .set_key(Some(layout::head_key().into_item()))
        .consistent_read(consistency == Consistency::Strong);
    let answer = request.send().await.map_err(|e| classify_on(table, e, Effect::Read, what))?;
    answer.item.ok_or_else(|| missing_head(table)).and_then(Head::parse)
}

impl LogTable {
    /// Reads the head of this log.
    ///
    /// # Errors
    /// `Invalid` when the log is another one now (L8); those of any read.
    pub(crate) async fn read_head(&self, consistency: Consistency) -> StoreResult<Head> {
        let head = read_any(&self.client, &self.name, consistency, "read the log's head").await?;
        if head.incarnation == self.incarnation { Ok(head) } else { Err(self.foreign(head.incarnation)) }
    }

    /// L8: the error for a log that was made anew under this gateway.
    pub(crate) fn foreign(&self, found: Incarnation) -> StoreError {
        let Self { name, incarnation, .. } = self;
        let message = format!("table `{name}` now holds incarnation {found}, this gateway belongs to {incarnation}");
        StoreError::new(StoreErrorKind::Invalid, message + ": restart it")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use sluice_store::Payload;

    fn head(first: u64, count: u64) -> Head {
        let element = |sequence| Element { session: 1, sequence, payload: Payload::Inline(Bytes::from_static(b"x")) };
        Head {
            first: LogPosition(first),
            elements: (0..count).map(|i| layout::encode_element(&element(first + i)).into()).collect(),
            incarnation: Incarnation(1),
            snapshot: None,
        }
    }

    #[test]
    fn l6_tail_is_cut_by_position() {
        let head = head(10, 4);
        assert_eq!(head.end(), LogPosition(14));
        for (wanted, first, count) in [(1, 10, 4), (10, 10, 4), (12, 12, 2), (14, 14, 0), (99, 14, 0)] {
            let tail = head.tail_from(LogPosition(wanted)).unwrap();
            assert_eq!((tail.first.0, tail.elements.len()), (first, count), "from {wanted}");
            assert!(tail.elements.iter().zip(first..).all(|(element, position)| element.sequence == position));
        }
    }

    #[test]
    fn new_head_is_an_empty_log() {
        let head = Head::parse(Head::new_item(Incarnation(7))).unwrap();
        assert_eq!(head.first, LogPosition(1));
        assert_eq!((head.elements.len(), head.incarnation, head.snapshot), (0, Incarnation(7), None));
    }

    #[test]
    fn foreign_format_is_invalid_and_nonsense_is_corrupt() {
        let change = |name: &str, value| {
            let mut item = Head::new_item(Incarnation(7));
            item.insert(name.into(), value);
            Head::parse(item).unwrap_err().kind()
        };
        assert_eq!(change("format", layout::number(2)), StoreErrorKind::Invalid);
        assert_eq!(change("format", AttributeValue::S("1".into())), StoreErrorKind::Corrupt);
        assert_eq!(change("b", layout::number(0)), StoreErrorKind::Corrupt);
        assert_eq!(change("b", AttributeValue::N("-1".into())), StoreErrorKind::Corrupt);
        assert_eq!(change("t", layout::number(0)), StoreErrorKind::Corrupt);
        assert_eq!(change("t", AttributeValue::L(vec![layout::number(0)])), StoreErrorKind::Corrupt);
        assert_eq!(change("incarnation", AttributeValue::S("?".into())), StoreErrorKind::Corrupt);
        assert_eq!(change("snap", layout::number(0)), StoreErrorKind::Corrupt);
        assert_eq!(Head::parse(Item::new()).unwrap_err().kind(), StoreErrorKind::Corrupt);
    }
}
