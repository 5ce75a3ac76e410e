//! The engine over the memory store: two gateways from the first day.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, missing_docs, unreachable_pub)]

mod fetching;
mod patience;
mod producing;
mod replicas;
mod support;
