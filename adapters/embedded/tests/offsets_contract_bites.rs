//! The contract suite refuses offsets views that break it: a planted defect for each promise that matters.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, missing_docs)]

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use sluice_store::contract::{OffsetsViewFixture, offsets_view};
use sluice_store::{OffsetsItem, OffsetsView, StoreError, StoreErrorKind, StoreResult, offsets_view_contract};

/// What is wrong with a view.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Defect {
    None,
    MovesBack,
    ComparesText,
    TakesEqualPositions,
    RefusesOldPuts,
    Merges,
    RemovesEmptyItems,
    IgnoresIncarnations,
    JoinsNames,
    FailsTogether,
    AnswersOutOfOrder,
    TakesAFewItems,
    DropsHeavyItems,
    LosesSomeMetadata,
    TakesAnyName,
    LosesLeaderEpochs,
    RacesItself,
}

type Key = (String, String, u32);

#[derive(Debug)]
struct Broken {
    defect: Defect,
    items: Mutex<BTreeMap<Key, OffsetsItem>>,
}

impl Broken {
    fn new(defect: Defect) -> Arc<Self> {
        Arc::new(Self { defect, items: Mutex::default() })
    }

    fn is(&self, defect: Defect) -> bool {
        self.defect == defect
    }

    fn key(&self, group: &str, topic: &str, slice: u32) -> Key {
        if self.is(Defect::JoinsNames) {
            return (format!("{group}{topic}"), String::new(), slice);
        }
        (group.to_owned(), topic.to_owned(), slice)
    }

    fn replaces(&self, item: &OffsetsItem, there: &OffsetsItem) -> bool {
        match self.defect {
            Defect::MovesBack => true,
            Defect::ComparesText => item.position.to_string() > there.position.to_string(),
            Defect::TakesEqualPositions => item.position >= there.position,
            Defect::IgnoresIncarnations => item.position > there.position,
            _ => item.replaces(there.incarnation, there.position),
        }
    }

    fn damage(&self, item: &mut OffsetsItem) {
        let entries = || item.offsets.values();
        let metadata_bytes: usize = entries().map(|entry| entry.metadata.len()).sum();
        match self.defect {
            Defect::LosesSomeMetadata if metadata_bytes > 300_000 => {
                item.offsets.values_mut().take(50).for_each(|entry| entry.metadata.clear());
            }
            Defect::DropsHeavyItems if metadata_bytes > 300_000 => item.offsets.clear(),
            Defect::LosesLeaderEpochs => item.offsets.values_mut().for_each(|entry| entry.leader_epoch = -1),
            _ => {}
        }
    }

    async fn put_one(&self, mut item: OffsetsItem) -> StoreResult<()> {
        if !self.is(Defect::TakesAnyName) {
            item.check()?;
        }
        let key = self.key(&item.group, &item.topic, item.slice);
        let there = self.items.lock().unwrap().get(&key).cloned();
        if self.is(Defect::RacesItself) {
            tokio::task::yield_now().await;
        }
        if let Some(there) = there {
            if !self.replaces(&item, &there) {
                let refused = || StoreError::new(StoreErrorKind::AlreadyExists, "an older put");
                return if self.is(Defect::RefusesOldPuts) { Err(refused()) } else { Ok(()) };
            }
            if self.is(Defect::Merges) {
                item.offsets = there.offsets.into_iter().chain(item.offsets).collect();
            }
        }
        self.damage(&mut item);
        if self.is(Defect::RemovesEmptyItems) && item.offsets.is_empty() {
            self.items.lock().unwrap().remove(&key);
        } else {
            self.items.lock().unwrap().insert(key, item);
        }
        Ok(())
    }
}

#[async_trait]
impl OffsetsView for Broken {
    async fn put(&self, items: Vec<OffsetsItem>) -> Vec<StoreResult<()>> {
        if self.is(Defect::FailsTogether) && items.iter().any(|item| item.check().is_err()) {
            return items.iter().map(|_| Err(StoreError::new(StoreErrorKind::Invalid, "one of them"))).collect();
        }
        let taken = if self.is(Defect::TakesAFewItems) { 25 } else { usize::MAX };
        let mut results = Vec::new();
        for (at, item) in items.into_iter().enumerate() {
            results.push(if at < taken { self.put_one(item).await } else { Ok(()) });
        }
        if self.is(Defect::AnswersOutOfOrder) {
            results.sort_by_key(|result| result.is_err());
        }
        results
    }
}

struct Fixture(Arc<Broken>);

#[async_trait]
impl OffsetsViewFixture for Fixture {
    async fn handle(&self) -> Arc<dyn OffsetsView> {
        Arc::clone(&self.0) as Arc<dyn OffsetsView>
    }

    async fn read(&self, group: &str, topic: &str, slice: u32) -> Option<OffsetsItem> {
        self.0.items.lock().unwrap().get(&self.0.key(group, topic, slice)).cloned()
    }
}

/// Without a defect the same view keeps the contract: what panics below is the defect's doing.
mod sound {
    use super::*;

    async fn offsets() -> Fixture {
        Fixture(Broken::new(Defect::None))
    }

    offsets_view_contract!(offsets);
}

/// A promise over a view with a defect; it must panic.
macro_rules! bites {
    ($($test:ident: $promise:ident, $defect:ident;)+) => {
        $(
            #[tokio::test]
            #[should_panic]
            async fn $test() {
                offsets_view::$promise(&Fixture(Broken::new(Defect::$defect))).await;
            }
        )+
    };
}

bites! {
    a_view_that_moves_back: an_older_put_succeeds_and_changes_nothing, MovesBack;
    a_view_that_moves_back_within_a_call: an_item_twice_in_one_call_is_the_higher_one, MovesBack;
    a_mark_that_does_not_hold: an_item_without_offsets_keeps_its_position, MovesBack;
    positions_that_are_text: an_older_put_succeeds_and_changes_nothing, ComparesText;
    a_position_that_is_taken_twice: a_put_of_the_same_position_changes_nothing, TakesEqualPositions;
    an_older_put_that_is_an_error: an_older_put_succeeds_and_changes_nothing, RefusesOldPuts;
    items_that_are_merged: a_newer_put_replaces_the_whole_item, Merges;
    empty_items_that_go: an_item_without_offsets_keeps_its_position, RemovesEmptyItems;
    incarnations_that_are_one: another_incarnation_replaces_whatever_its_position, IgnoresIncarnations;
    names_that_are_one: groups_topics_and_slices_are_apart, JoinsNames;
    items_that_fail_together: items_of_one_call_are_independent, FailsTogether;
    answers_out_of_order: items_of_one_call_are_independent, AnswersOutOfOrder;
    items_past_the_first_few: a_call_has_as_many_items_as_it_likes, TakesAFewItems;
    heavy_items_without_offsets: a_slice_full_of_metadata_shows_its_offsets, DropsHeavyItems;
    metadata_in_part: a_slice_full_of_metadata_shows_its_offsets, LosesSomeMetadata;
    names_of_any_length: the_longest_names_are_taken, TakesAnyName;
    leader_epochs_that_are_lost: a_put_item_is_shown_as_it_was_put, LosesLeaderEpochs;
    puts_that_race: of_concurrent_puts_the_highest_position_stays, RacesItself;
}
