//! Rolling: moving elements off the head before it grows heavy (L5). An append costs by the head's size.

use aws_sdk_dynamodb::operation::put_item::PutItemError;
use aws_sdk_dynamodb::operation::update_item::UpdateItemError;
use aws_sdk_dynamodb::types::AttributeValue;
use bytes::Bytes;
use sluice_store::StoreResult;

use crate::classify::Effect;
use crate::config::{CHUNK_BYTES_MAX, RollLimits};
use crate::head::Head;
use crate::layout;
use crate::table::LogTable;

impl RollLimits {
    /// Whether the appender that got this answer is to roll: it crossed the threshold, or somebody else did and has not
    /// rolled until twice of it (L5). `own` are the elements it appended, which are the last ones, with their bytes.
    pub(crate) fn calls_for_roll(&self, head: &Head, own_elements: usize, own_bytes: usize) -> bool {
        let elements = head.elements.len();
        let bytes = head.bytes();
        let crosses = |before: usize, after: usize, limit: usize| before < limit && after >= limit;
        let crossed = crosses(bytes.saturating_sub(own_bytes), bytes, self.head_bytes)
            || crosses(elements.saturating_sub(own_elements), elements, self.elements);
        crossed || bytes >= self.head_bytes.saturating_mul(2) || elements >= self.elements.saturating_mul(2)
    }
}

impl LogTable {
    /// Moves the first elements of this head into a chunk (L5). Harmless whoever else does the same, at any time: the
    /// chunk only ever grows, and the head is cut only if it still begins where this one does.
    ///
    /// # Errors
    /// Those of any write; the log is as good as before.
    pub(crate) async fn roll(&self, head: &Head) -> StoreResult<()> {
        let count = chunk_len(head, self.limits.elements);
        if count == 0 {
            return Ok(());
        }
        self.put_chunk(head, count).await?;
        self.cut_head(head, count).await
    }

    /// Puts the chunk, unless one that is as long is there; `Ok` in both cases: it was *answered*, so whoever reads it
    /// now finds these elements.
    async fn put_chunk(&self, head: &Head, count: usize) -> StoreResult<()> {
        let elements = head.elements.iter().take(count).map(|bytes| layout::binary(bytes.as_ref())).collect();
        let mut item = layout::chunk_key(self.incarnation, head.first).into_item();
        item.insert(layout::COUNT.into(), layout::number(count as u64));
        item.insert(layout::ELEMENTS.into(), AttributeValue::L(elements));
        let request = self
            .client
            .put_item()
            .table_name(&self.name)
            .set_item(Some(item))
            .condition_expression("attribute_not_exists(#n) OR #n < :m")
            .expression_attribute_names("#n", layout::COUNT)
            .expression_attribute_values(":m", layout::number(count as u64));
        match request.send().await {
            Ok(_) => Ok(()),
            Err(e) if matches!(e.as_service_error(), Some(PutItemError::ConditionalCheckFailedException(_))) => Ok(()),
            Err(e) => Err(self.classify(e, Effect::Write, "roll: put a chunk")),
        }
    }

    /// Cuts the first elements off the head, unless somebody else has.
    async fn cut_head(&self, head: &Head, count: usize) -> StoreResult<()> {
        // From the last to the first: DynamoDB means the list as it was before the update, but an emulator that takes one
        // after the other removes the right ones as well.
        let removed: Vec<String> = (0..count).rev().map(|i| format!("#t[{i}]")).collect();
        let request = self
            .client
            .update_item()
            .table_name(&self.name)
            .set_key(Some(layout::head_key().into_item()))
            .update_expression(format!("SET #b = #b + :m REMOVE {}", removed.join(", ")))
            .condition_expression("#b = :b AND #i = :i")
            .expression_attribute_names("#t", layout::TAIL)
            .expression_attribute_names("#b", layout::FIRST)
            .expression_attribute_names("#i", layout::INCARNATION)
            .expression_attribute_values(":m", layout::number(count as u64))
            .expression_attribute_values(":b", layout::number(head.first.0))
            .expression_attribute_values(":i", AttributeValue::S(self.incarnation.to_string()));
        match request.send().await {
            Ok(_) => Ok(()),
            Err(e) if matches!(e.as_service_error(), Some(UpdateItemError::ConditionalCheckFailedException(_))) => {
                Ok(())
            }
            Err(e) => Err(self.classify(e, Effect::Write, "roll: cut the head")),
        }
    }
}

/// How many of the head's elements the next chunk takes: as many as allowed, and as fit into an item.
fn chunk_len(head: &Head, elements_max: usize) -> usize {
    let mut bytes = 0usize;
    let fits = |element: &&Bytes| {
        bytes = bytes.saturating_add(element.len() + 1);
        bytes <= CHUNK_BYTES_MAX
    };
    let fitting = head.elements.iter().take_while(fits).count();
    fitting.max(1).min(elements_max).min(head.elements.len())
}

#[cfg(test)]
mod tests {
    use super::*;
    use sluice_store::{Incarnation, LogPosition};

    fn head(elements: usize, element_bytes: usize) -> Head {
        Head {
            first: LogPosition(1),
            elements: vec![Bytes::from(vec![0; element_bytes - 1]); elements],
            incarnation: Incarnation(1),
            snapshot: None,
        }
    }

    #[test]
    fn l5_the_appender_that_crosses_rolls_and_others_at_twice() {
        let base = head(0, 1).bytes();
        let limits = RollLimits { head_bytes: base + 100, head_bytes_hard: base + 800, elements: 256 };
        // Each append is one element of 10 bytes: the tenth crosses.
        let calls: Vec<usize> = (1..=40).filter(|n| limits.calls_for_roll(&head(*n, 10), 1, 10)).collect();
        let twice = (base + 100) * 2;
        let expected = (1..=40).filter(|n| *n == 10 || base + n * 10 >= twice);
        assert_eq!(calls, expected.collect::<Vec<_>>());
        assert!(calls.len() > 1, "twice the threshold is within the range");
    }

    #[test]
    fn l5_many_light_elements_call_for_a_roll_too() {
        let limits = RollLimits { head_bytes: 100_000, head_bytes_hard: 200_000, elements: 8 };
        let calls: Vec<usize> = (1..=17).filter(|n| limits.calls_for_roll(&head(*n, 4), 1, 4)).collect();
        assert_eq!(calls, [8, 16, 17]);
    }

    #[test]
    fn l5_a_chunk_is_at_most_256_elements_and_fits_into_an_item() {
        let cases = [(0, 1, 0), (3, 10, 3), (300, 10, 256), (50, 35_000, 8), (2, 350_000, 1)];
        for (elements, element_bytes, expected) in cases {
            assert_eq!(chunk_len(&head(elements, element_bytes), 256), expected, "{elements} of {element_bytes} bytes");
        }
        assert_eq!(chunk_len(&head(9, 10), 5), 5, "or as the limits say");
    }
}
