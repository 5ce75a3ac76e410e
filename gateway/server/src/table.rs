//! The one table of APIs: what is served, what is said to be served, and by what.
//!
//! Dispatch, ApiVersions, the metrics and `docs/protocol-coverage.md` are driven by it, so that they cannot disagree
//! (known issue 7). A handler sees no version that is not in it (I-08).

use std::fmt;
use std::fmt::Write as _;

use futures_util::future::BoxFuture;
use sluice_protocol::{ApiKey, DecodeError};

use crate::dispatch::Call;
use crate::handlers;
use crate::metrics::Counted;
use crate::request::Stage;

/// A handler: reads the request and begins the work.
pub(crate) type Handler = fn(Call) -> Result<BoxFuture<'static, Stage>, DecodeError>;

/// Versions, both ends included.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Versions {
    pub(crate) min: i16,
    pub(crate) max: i16,
}

impl Versions {
    pub(crate) const fn contain(self, version: i16) -> bool {
        self.min <= version && version <= self.max
    }
}

impl fmt::Display for Versions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}–{}", self.min, self.max)
    }
}

/// When in the life of a connection a request may come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum AuthStage {
    /// At any time.
    Always,
    /// Once the peer is who it says; at any time on a listener without authentication.
    Authenticated,
}

/// An API.
pub(crate) struct Row {
    pub(crate) key: ApiKey,
    /// What is served.
    pub(crate) accepted: Versions,
    /// What ApiVersions tells. Never more than is answered: versions in here and not in `accepted` get an error of Kafka's.
    pub(crate) advertised: Versions,
    /// The feature level of State from which on it is told and served (I-12).
    pub(crate) since_level: u16,
    pub(crate) auth: AuthStage,
    /// Memory that a request takes, in multiples of its frame; the codec's own bound is 16.
    pub(crate) memory_factor: usize,
    /// Whether requests of one connection overlap.
    pub(crate) overlaps: bool,
    /// Whether a request is dropped when its client is gone before it is answered: coordination requests, which a client
    /// that is gone repeats elsewhere (T7).
    pub(crate) ends_with_peer: bool,
    pub(crate) start: Handler,
}

impl Row {
    /// Whether requests of this version get an answer.
    pub(crate) const fn answers(&self, version: i16) -> bool {
        self.accepted.contain(version) || self.advertised.contain(version)
    }
}

/// The first feature level; every gateway is at it or above.
pub(crate) const FIRST_LEVEL: u16 = 1;
/// Beyond what the frame itself takes, whatever the request.
const MEMORY_BASE: usize = 64 << 10;
/// The codec's bound (design section 11).
const MEMORY_FACTOR_MAX: usize = 16;

const fn versions(min: i16, max: i16) -> Versions {
    Versions { min, max }
}

const fn row(key: ApiKey, accepted: Versions, start: Handler) -> Row {
    Row {
        key,
        accepted,
        advertised: accepted,
        since_level: FIRST_LEVEL,
        auth: AuthStage::Authenticated,
        memory_factor: MEMORY_FACTOR_MAX,
        overlaps: false,
        ends_with_peer: false,
        start,
    }
}

/// Every API that is served; the busiest first, because the table is searched from the start.
pub(crate) static TABLE: [Row; 33] = [
    Row {
        // Records are slices of the frame.
        memory_factor: 2,
        overlaps: true,
        ..row(ApiKey::Produce, versions(0, 13), handlers::produce::start)
    },
    // As Kafka 4.3, here and below; older ones are served all the same.
    Row { advertised: versions(4, 18), ..row(ApiKey::Fetch, versions(0, 18), handlers::fetch::start) },
    Row { ends_with_peer: true, ..row(ApiKey::Heartbeat, versions(0, 4), handlers::heartbeat::start) },
    Row {
        // As Kafka 4.3; older ones are served all the same.
        advertised: versions(2, 10),
        ends_with_peer: true,
        ..row(ApiKey::OffsetCommit, versions(0, 10), handlers::offset_commit::start)
    },
    row(ApiKey::Metadata, versions(0, 13), handlers::metadata::start),
    Row { advertised: versions(1, 11), ..row(ApiKey::ListOffsets, versions(0, 11), handlers::list_offsets::start) },
    Row { auth: AuthStage::Always, ..row(ApiKey::ApiVersions, versions(0, 4), handlers::api_versions::start) },
    row(ApiKey::FindCoordinator, versions(0, 6), handlers::find_coordinator::start),
    Row { ends_with_peer: true, ..row(ApiKey::JoinGroup, versions(0, 9), handlers::join_group::start) },
    Row { ends_with_peer: true, ..row(ApiKey::SyncGroup, versions(0, 5), handlers::sync_group::start) },
    // Done even if its client is gone: the one exception of T7.
    row(ApiKey::LeaveGroup, versions(0, 5), handlers::leave_group::start),
    Row { advertised: versions(1, 10), ..row(ApiKey::OffsetFetch, versions(0, 10), handlers::offset_fetch::start) },
    row(ApiKey::InitProducerId, versions(0, 5), handlers::init_producer_id::start),
    Row { advertised: versions(2, 7), ..row(ApiKey::CreateTopics, versions(0, 7), handlers::create_topics::start) },
    Row { advertised: versions(1, 6), ..row(ApiKey::DeleteTopics, versions(0, 6), handlers::delete_topics::start) },
    row(ApiKey::DescribeGroups, versions(0, 6), handlers::describe_groups::start),
    row(ApiKey::ListGroups, versions(0, 5), handlers::list_groups::start),
    row(ApiKey::DeleteGroups, versions(0, 2), handlers::delete_groups::start),
    row(ApiKey::OffsetDelete, versions(0, 0), handlers::offset_delete::start),
    row(ApiKey::DeleteRecords, versions(0, 2), handlers::delete_records::start),
    Row {
        advertised: versions(2, 4),
        ..row(ApiKey::OffsetForLeaderEpoch, versions(0, 4), handlers::offset_for_leader_epoch::start)
    },
    row(ApiKey::CreatePartitions, versions(0, 3), handlers::create_partitions::start),
    row(ApiKey::DescribeCluster, versions(0, 2), handlers::describe_cluster::start),
    row(ApiKey::DescribeTopicPartitions, versions(0, 0), handlers::describe_topic_partitions::start),
    Row {
        advertised: versions(1, 5),
        ..row(ApiKey::DescribeLogDirs, versions(0, 5), handlers::describe_log_dirs::start)
    },
    row(ApiKey::ElectLeaders, versions(0, 2), handlers::elect_leaders::start),
    row(ApiKey::AlterPartitionReassignments, versions(0, 1), handlers::alter_partition_reassignments::start),
    row(ApiKey::ListPartitionReassignments, versions(0, 0), handlers::list_partition_reassignments::start),
    row(ApiKey::DescribeProducers, versions(0, 0), handlers::describe_producers::start),
    Row {
        // As Kafka 4.3; the oldest is served all the same.
        advertised: versions(1, 4),
        ..row(ApiKey::DescribeConfigs, versions(0, 4), handlers::describe_configs::start)
    },
    row(ApiKey::AlterConfigs, versions(0, 2), handlers::alter_configs::start),
    row(ApiKey::IncrementalAlterConfigs, versions(0, 1), handlers::incremental_alter_configs::start),
    row(ApiKey::ListConfigResources, versions(0, 1), handlers::list_config_resources::start),
];

/// The row of a key, with its place in the table.
pub(crate) fn find(key: i16) -> Option<(usize, &'static Row)> {
    TABLE.iter().enumerate().find(|(_, row)| row.key.as_i16() == key)
}

/// The rows of a feature level, in ascending order of their keys, as Kafka tells them.
pub(crate) fn rows_at(level: u16) -> Vec<&'static Row> {
    let mut rows: Vec<_> = TABLE.iter().filter(|row| row.since_level <= level.max(FIRST_LEVEL)).collect();
    rows.sort_by_key(|row| row.key);
    rows
}

/// Memory that a frame and its request may take, in bytes.
pub(crate) fn memory_estimate(key: Option<i16>, frame_bytes: usize) -> usize {
    let factor = key.and_then(find).map_or(MEMORY_FACTOR_MAX, |(_, row)| row.memory_factor);
    frame_bytes.saturating_mul(factor).saturating_add(MEMORY_BASE)
}

/// What the metrics count, in the order of the table.
pub(crate) fn counted() -> Vec<Counted> {
    let of_row = |row: &Row| Counted {
        name: row.key.name(),
        version_min: row.accepted.min.min(row.advertised.min),
        version_max: row.accepted.max.max(row.advertised.max),
    };
    TABLE.iter().map(of_row).collect()
}

/// `docs/protocol-coverage.md`, from the table: which APIs and versions are served. A test keeps the file equal to it.
#[must_use]
pub fn protocol_coverage_markdown() -> String {
    let mut text = String::from(
        "# Protocol coverage\n\n\
         Written from the table in `gateway/server/src/table.rs`; `SLUICE_BLESS=1 cargo test -p sluice-server` writes it anew.\n\n\
         *Served* versions do what Kafka's do, except where `differences.md` says so. *Advertised* versions are those of the\n\
         ApiVersions answer; one that is advertised and not served is answered with UNSUPPORTED_VERSION per partition.\n\
         A request outside the table closes the connection, as in Kafka; an unknown version of ApiVersions is answered in the\n\
         layout of version 0 with error 35.\n\n\
         | key | API | served | advertised | since feature level | before authentication |\n\
         |-|-|-|-|-|-|\n",
    );
    for row in rows_at(u16::MAX) {
        let Row { key, accepted, advertised, since_level, auth, .. } = row;
        let early = if *auth == AuthStage::Always { "yes" } else { "no" };
        // Writing to a string cannot fail.
        let _ = writeln!(
            text,
            "| {} | {} | {accepted} | {advertised} | {since_level} | {early} |",
            key.as_i16(),
            key.name()
        );
    }
    let missing: Vec<_> = ApiKey::ALL.iter().filter(|key| find(key.as_i16()).is_none()).map(|key| key.name()).collect();
    let _ = writeln!(text, "\nNot served yet, or not meant for clients of a gateway: {}.", missing.join(", "));
    text
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]
    use std::path::Path;

    use sluice_protocol::Request;
    use sluice_protocol::messages::{
        AlterConfigsRequest, AlterPartitionReassignmentsRequest, ApiVersionsRequest, CreatePartitionsRequest,
        CreateTopicsRequest, DeleteGroupsRequest, DeleteRecordsRequest, DeleteTopicsRequest, DescribeClusterRequest,
        DescribeConfigsRequest, DescribeGroupsRequest, DescribeLogDirsRequest, DescribeProducersRequest,
        DescribeTopicPartitionsRequest, ElectLeadersRequest, FetchRequest, FindCoordinatorRequest, HeartbeatRequest,
        IncrementalAlterConfigsRequest, InitProducerIdRequest, JoinGroupRequest, LeaveGroupRequest,
        ListConfigResourcesRequest, ListGroupsRequest, ListOffsetsRequest, ListPartitionReassignmentsRequest,
        MetadataRequest, OffsetCommitRequest, OffsetDeleteRequest, OffsetFetchRequest, OffsetForLeaderEpochRequest,
        ProduceRequest, SyncGroupRequest,
    };

    use super::*;

    fn assert_codec_has_versions_of<R: Request>() {
        let (_, row) = find(R::KEY.as_i16()).unwrap();
        for version in [row.accepted.min, row.accepted.max, row.advertised.min, row.advertised.max] {
            assert!((R::MIN_VERSION..=R::MAX_VERSION).contains(&version), "{} {version}", R::KEY);
        }
    }

    /// I-08, known issue 7: nothing is advertised that cannot be decoded.
    #[test]
    fn the_codec_has_every_version_of_the_table() {
        assert_codec_has_versions_of::<ProduceRequest>();
        assert_codec_has_versions_of::<FetchRequest>();
        assert_codec_has_versions_of::<ListOffsetsRequest>();
        assert_codec_has_versions_of::<MetadataRequest>();
        assert_codec_has_versions_of::<ApiVersionsRequest>();
        assert_codec_has_versions_of::<CreateTopicsRequest>();
        assert_codec_has_versions_of::<InitProducerIdRequest>();
        assert_codec_has_versions_of::<FindCoordinatorRequest>();
        assert_codec_has_versions_of::<HeartbeatRequest>();
        assert_codec_has_versions_of::<OffsetCommitRequest>();
        assert_codec_has_versions_of::<OffsetFetchRequest>();
        assert_codec_has_versions_of::<JoinGroupRequest>();
        assert_codec_has_versions_of::<SyncGroupRequest>();
        assert_codec_has_versions_of::<LeaveGroupRequest>();
        assert_codec_has_versions_of::<DescribeGroupsRequest>();
        assert_codec_has_versions_of::<ListGroupsRequest>();
        assert_codec_has_versions_of::<DeleteGroupsRequest>();
        assert_codec_has_versions_of::<OffsetDeleteRequest>();
        assert_codec_has_versions_of::<DeleteTopicsRequest>();
        assert_codec_has_versions_of::<DeleteRecordsRequest>();
        assert_codec_has_versions_of::<OffsetForLeaderEpochRequest>();
        assert_codec_has_versions_of::<CreatePartitionsRequest>();
        assert_codec_has_versions_of::<DescribeClusterRequest>();
        assert_codec_has_versions_of::<DescribeTopicPartitionsRequest>();
        assert_codec_has_versions_of::<DescribeLogDirsRequest>();
        assert_codec_has_versions_of::<ElectLeadersRequest>();
        assert_codec_has_versions_of::<AlterPartitionReassignmentsRequest>();
        assert_codec_has_versions_of::<ListPartitionReassignmentsRequest>();
        assert_codec_has_versions_of::<DescribeProducersRequest>();
        assert_codec_has_versions_of::<DescribeConfigsRequest>();
        assert_codec_has_versions_of::<AlterConfigsRequest>();
        assert_codec_has_versions_of::<IncrementalAlterConfigsRequest>();
        assert_codec_has_versions_of::<ListConfigResourcesRequest>();
        assert_eq!(TABLE.len(), 33, "a new API is to be added above");
    }

    #[test]
    fn each_key_has_one_row_and_advertises_only_what_is_answered() {
        for (index, row) in TABLE.iter().enumerate() {
            assert_eq!(find(row.key.as_i16()).unwrap().0, index, "{}", row.key);
            assert!(row.accepted.min <= row.accepted.max && row.advertised.min <= row.advertised.max);
            assert!(row.advertised.contain(row.accepted.max), "{}: the newest version is advertised", row.key);
            assert!(row.memory_factor <= MEMORY_FACTOR_MAX);
        }
    }

    /// `docs/protocol-coverage.md` says what the table says; SLUICE_BLESS=1 writes it.
    #[test]
    fn the_coverage_document_is_up_to_date() {
        let docs = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs");
        let path = docs.join("protocol-coverage.md");
        let expected = protocol_coverage_markdown();
        if std::env::var_os("SLUICE_BLESS").is_some_and(|value| value == "1") {
            std::fs::create_dir_all(&docs).unwrap();
            std::fs::write(&path, &expected).unwrap();
        }
        let found = std::fs::read_to_string(&path).unwrap_or_default();
        assert!(found == expected, "docs/protocol-coverage.md is old: run this test with SLUICE_BLESS=1");
    }
}
