//! Consumer groups with real clients: the light cells. All of them are in the program `group_matrix` (`make conformance`).
//!
//! Promises: each partition has one owner at a time, nothing is skipped, nothing is processed again after a clean
//! hand-over; static members are restarted without a rebalance; offsets survive every gateway. With
//! `SLUICE_TEST_BOOTSTRAP=IP:PORT` the same is demanded of the broker there. Called by `cargo test`.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, missing_docs)]

use sluice_tests::fleet::{Fleet, Kind};
use sluice_tests::group_cells::{have, mixed_group, own_group, restarted_gateways, static_group};
use sluice_tests::members::Library::{KafkaPython, Librdkafka};

/// Runs a cell on a fleet of its own, where its clients and its store are to be had.
fn on(
    kind: Kind,
    libraries: &[sluice_tests::members::Library],
    cell: impl FnOnce(&mut Fleet) -> anyhow::Result<String>,
) {
    if have(libraries).is_err() {
        return;
    }
    let Some(mut fleet) = Fleet::start(kind) else { return };
    match cell(&mut fleet) {
        Ok(line) => println!("{}: {line}", kind.name()),
        Err(error) => panic!("{}: {error:#}", kind.name()),
    }
}

#[test]
fn members_of_librdkafka_come_and_go_on_one_gateway() {
    on(Kind::Memory(1), &[Librdkafka], |fleet| own_group(fleet, Librdkafka, "roundrobin", false));
}

#[test]
fn members_of_librdkafka_cooperate_across_three_gateways() {
    // Holds: I-06
    on(Kind::Memory(3), &[Librdkafka], |fleet| own_group(fleet, Librdkafka, "cooperative-sticky", true));
}

#[test]
fn members_of_kafka_python_come_and_go_across_three_gateways() {
    // Holds: I-06
    on(Kind::Memory(3), &[KafkaPython], |fleet| own_group(fleet, KafkaPython, "sticky", false));
}

#[test]
fn two_libraries_share_a_group_across_three_processes() {
    // Holds: I-06
    let libraries = [KafkaPython, Librdkafka];
    on(Kind::Processes(3), &libraries, |fleet| mixed_group(fleet, &libraries, 0));
}

#[test]
fn static_members_are_restarted_without_a_rebalance_across_three_gateways() {
    on(Kind::Memory(3), &[Librdkafka], |fleet| static_group(fleet, Librdkafka, "range"));
}

#[test]
fn members_and_offsets_survive_a_restart_of_every_gateway() {
    // Holds: I-01
    let libraries = [Librdkafka, KafkaPython];
    on(Kind::Processes(3), &libraries, |fleet| restarted_gateways(fleet, libraries));
}

#[test]
fn members_and_offsets_survive_a_restart_over_files() {
    // Holds: I-01
    on(Kind::Disk, &[Librdkafka], |fleet| restarted_gateways(fleet, [Librdkafka, Librdkafka]));
}
