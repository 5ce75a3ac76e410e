//! The engine over the memory store: two gateways from the first day.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, missing_docs, unreachable_pub)]

mod committing;
mod coordinating;
mod fetching;
mod freshness;
mod joining;
mod members;
mod patience;
mod producing;
mod replicas;
mod sessions;
mod showing;
mod support;
mod watching;
