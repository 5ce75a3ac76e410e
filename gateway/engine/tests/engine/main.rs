//! The engine over the memory store: two gateways from the first day.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, missing_docs, unreachable_pub)]

mod administering;
mod committing;
mod configuring;
mod coordinating;
mod expiring;
mod fetching;
mod freshness;
mod holding;
mod joining;
mod leading;
mod leaving;
mod members;
mod patience;
mod producing;
mod replicas;
mod sessions;
mod showing;
mod support;
mod syncing;
mod watching;
