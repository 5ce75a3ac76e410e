//! The wire side over engines in memory: one process, listeners in memory, time that steps.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, missing_docs)]

mod absurd_admin;
mod admin;
mod as_kafka;
mod configs;
mod fetching;
mod framing;
mod groups;
mod groups_bad_input;
mod groups_faults;
mod groups_member;
mod groups_offsets;
mod http;
mod metadata;
mod old_clients;
mod partitions;
mod pipelines;
mod producing;
mod stopping;
mod store_faults;
mod support;
mod topic_settings;
mod wire;
