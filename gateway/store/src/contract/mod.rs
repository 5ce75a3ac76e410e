//! The contract suite: what every store and every decorator promises, as one async function per promise.
//!
//! Promises: an implementation that passes may be put under `engine` without a change there. Each function panics with
//! a message that says which promise broke; each wants a fixture over a store that was empty.
//! Never: looks behind the seam (but for the view, which is made to be looked at), waits for a time, or needs one kind of store (what a store may choose, it asks of
//! `capabilities`).
//! Called by the tests of every adapter and decorator, through [`object_store_contract!`](crate::object_store_contract),
//! [`metadata_log_contract!`](crate::metadata_log_contract) and
//! [`offsets_view_contract!`](crate::offsets_view_contract), which make a test of each promise.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, reason = "test code: it exists to panic")]

pub mod log;
pub mod objects;
pub mod offsets_view;
mod replay;

use std::sync::Arc;

use async_trait::async_trait;

use crate::{MetadataLog, ObjectStore, OffsetsItem, OffsetsView};

/// One object store that was empty, and everything that must live as long as it (a folder, a server).
#[async_trait]
pub trait ObjectFixture: Send + Sync {
    /// A handle on the store: another one each time, where the store can be opened twice.
    async fn handle(&self) -> Arc<dyn ObjectStore>;
}

/// One metadata log that was empty, and everything that must live as long as it.
#[async_trait]
pub trait LogFixture: Send + Sync {
    /// A handle on the log, as another gateway would have it: another one each time, where the log can be opened twice.
    async fn handle(&self) -> Arc<dyn MetadataLog>;
}

/// One offsets view that was empty, and everything that must live as long as it.
#[async_trait]
pub trait OffsetsViewFixture: Send + Sync {
    /// A handle on the view, as another gateway would have it: another one each time, where the view can be opened twice.
    async fn handle(&self) -> Arc<dyn OffsetsView>;

    /// What somebody who looks at the view finds there; gateways cannot.
    async fn read(&self, group: &str, topic: &str, slice: u32) -> Option<OffsetsItem>;
}

/// The fixture of a store that the gateways of one process share by its `Arc`; keeps a guard alive beside it.
#[derive(Debug)]
pub struct SharedHandle<S: ?Sized, G = ()> {
    store: Arc<S>,
    _guard: G,
}

impl<S: ?Sized> SharedHandle<S> {
    /// A fixture that needs no guard.
    #[must_use]
    pub fn new(store: Arc<S>) -> Self {
        Self::with_guard(store, ())
    }
}

impl<S: ?Sized, G> SharedHandle<S, G> {
    /// A fixture that drops `guard` (a temporary folder, say) when it is dropped.
    #[must_use]
    pub fn with_guard(store: Arc<S>, guard: G) -> Self {
        Self { store, _guard: guard }
    }
}

#[async_trait]
impl<G: Send + Sync> ObjectFixture for SharedHandle<dyn ObjectStore, G> {
    async fn handle(&self) -> Arc<dyn ObjectStore> {
        Arc::clone(&self.store)
    }
}

#[async_trait]
impl<G: Send + Sync> LogFixture for SharedHandle<dyn MetadataLog, G> {
    async fn handle(&self) -> Arc<dyn MetadataLog> {
        Arc::clone(&self.store)
    }
}

/// Makes a `#[tokio::test]` of each promise of [`objects`].
///
/// `$factory` is a function without arguments whose future gives an [`ObjectFixture`]; it is called once per test.
/// Put each use into a module of its own. The calling crate needs `tokio` with `macros` and `rt`.
#[macro_export]
macro_rules! object_store_contract {
    ($factory:expr) => {
        $crate::object_store_contract!(@each $factory;
            a_rope_comes_back_as_the_same_bytes,
            an_empty_object_is_an_object,
            eight_mebibytes_come_back_as_the_same_bytes,
            ranges_are_full_bounded_or_suffix,
            a_bounded_range_is_cut_at_the_end_and_invalid_past_it,
            create_only_leaves_the_object_there_as_it_is,
            one_of_many_concurrent_creators_wins,
            putting_the_same_bytes_again_is_harmless,
            a_wrong_checksum_is_corrupt_and_nothing_is_visible,
            head_tells_size_and_checksum,
            what_is_not_there_is_not_found,
            a_listing_is_in_key_order,
            a_listing_keeps_to_prefix_start_and_limit,
            delete_answers_each_key_and_is_idempotent,
            more_than_a_thousand_objects_are_listed_and_deleted,
            every_handle_sees_what_one_has_put,
            the_clock_is_exempt_or_read_off_the_last_answer,
        );
    };
    (@each $factory:expr; $($promise:ident,)+) => {
        $(
            #[tokio::test]
            async fn $promise() {
                let fixture = ($factory)().await;
                $crate::contract::objects::$promise(&fixture).await;
            }
        )+
    };
}

/// Makes a `#[tokio::test]` of each promise of [`mod@log`].
///
/// `$factory` is a function without arguments whose future gives a [`LogFixture`]; it is called once per test. Put each
/// use into a module of its own. The calling crate needs `tokio` with `macros` and `rt`.
#[macro_export]
macro_rules! metadata_log_contract {
    ($factory:expr) => {
        $crate::metadata_log_contract!(@each $factory;
            an_empty_log_reads_as_an_empty_tail,
            an_append_is_answered_with_all_after_known_its_own_elements_last,
            positions_are_contiguous_from_above_zero,
            the_elements_of_an_append_stay_together_in_their_order,
            as_many_elements_as_allowed_are_one_append,
            more_elements_than_allowed_are_refused,
            concurrent_appends_never_conflict_and_all_see_one_order,
            a_strong_read_sees_every_answered_append,
            an_eventual_read_is_a_part_of_the_same_log,
            a_read_from_anywhere_is_a_part_of_the_same_log,
            a_reader_far_behind_gets_a_contiguous_tail,
            an_append_of_one_far_behind_brings_it_up_to_date,
            a_read_past_the_end_is_corrupt,
            entries_of_every_size_come_back_as_the_same_bytes,
            a_pointer_to_no_body_is_an_error,
            a_damaged_pointer_is_an_error,
            an_entry_over_the_limit_is_too_large,
            staging_alone_adds_nothing_and_twice_is_harmless,
            the_same_element_appended_twice_is_there_twice,
            all_handles_have_one_incarnation,
        );
    };
    (@each $factory:expr; $($promise:ident,)+) => {
        $(
            #[tokio::test]
            async fn $promise() {
                let fixture = ($factory)().await;
                $crate::contract::log::$promise(&fixture).await;
            }
        )+
    };
}

/// Makes a `#[tokio::test]` of each promise of [`mod@offsets_view`].
///
/// `$factory` is a function without arguments whose future gives an [`OffsetsViewFixture`]; it is called once per test.
/// Put each use into a module of its own. The calling crate needs `tokio` with `macros` and `rt`.
#[macro_export]
macro_rules! offsets_view_contract {
    ($factory:expr) => {
        $crate::offsets_view_contract!(@each $factory;
            a_put_item_is_shown_as_it_was_put,
            an_older_put_succeeds_and_changes_nothing,
            a_put_of_the_same_position_changes_nothing,
            a_newer_put_replaces_the_whole_item,
            of_concurrent_puts_the_highest_position_stays,
            an_item_without_offsets_keeps_its_position,
            another_incarnation_replaces_whatever_its_position,
            groups_topics_and_slices_are_apart,
            items_of_one_call_are_independent,
            an_item_twice_in_one_call_is_the_higher_one,
            a_call_has_as_many_items_as_it_likes,
            a_slice_full_of_metadata_shows_its_offsets,
            the_longest_names_are_taken,
            all_handles_write_one_view,
        );
    };
    (@each $factory:expr; $($promise:ident,)+) => {
        $(
            #[tokio::test]
            async fn $promise() {
                let fixture = ($factory)().await;
                $crate::contract::offsets_view::$promise(&fixture).await;
            }
        )+
    };
}

#[cfg(test)]
mod tests {
    /// The promises a source file defines, and how often `macros` names each.
    fn assert_all_expanded(source: &str, macros: &str) {
        let promises: Vec<_> = source.lines().filter_map(|line| line.strip_prefix("pub async fn ")).collect();
        assert!(promises.len() >= 10, "promises are found by their first line");
        for line in promises {
            let name = line.split('(').next().unwrap();
            assert_eq!(macros.matches(&format!("            {name},\n")).count(), 1, "{name} in its macro's list");
        }
    }

    #[test]
    fn every_promise_is_in_its_macro() {
        let macros = include_str!("mod.rs");
        assert_all_expanded(include_str!("objects.rs"), macros);
        assert_all_expanded(include_str!("log.rs"), macros);
        assert_all_expanded(include_str!("offsets_view.rs"), macros);
    }
}
