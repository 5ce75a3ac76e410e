//! DescribeLogDirs (key 35), versions 0–5.
//!
//! Behaviour: one directory that stands for the object store, named `/sluice`; the size of a partition is what its record
//! batches take there. Nothing is known of the size of the volume: −1, as Kafka says where it cannot tell. Partitions that
//! are not there are left out, as in Kafka.
//! Version notes: 1 quotas; 2 flexible; 3 error of the whole answer; 4 volume sizes (KIP-827); 5 cordoned directories.
//! Errors, of the directory: 56 what could not be decided now.

use futures_util::future::BoxFuture;
use sluice_engine::{PartitionName, PartitionSize};
use sluice_protocol::messages::describe_log_dirs::{
    DescribeLogDirsPartition, DescribeLogDirsResult, DescribeLogDirsTopic,
};
use sluice_protocol::messages::{DescribeLogDirsRequest, DescribeLogDirsResponse};
use sluice_protocol::{DecodeError, ErrorCode, KString};

use crate::dispatch::{Call, run_alone};
use crate::errors::fetch_code;
use crate::request::{Outcome, Stage};

/// Tools show it as the path of a directory.
const LOG_DIR: &str = "/sluice";

pub(crate) fn start(call: Call) -> Result<BoxFuture<'static, Stage>, DecodeError> {
    run_alone(call, handle)
}

async fn handle(call: Call, request: DescribeLogDirsRequest) -> Outcome {
    let named = request.topics.map(|topics| {
        let names = topics.into_iter().flat_map(|topic| {
            let name_of = move |partition| PartitionName { topic: topic.topic.as_str().to_owned(), partition };
            topic.partitions.into_iter().map(name_of)
        });
        names.collect()
    });
    let (error_code, topics) = match call.service.engine.partition_sizes(named).await {
        Ok(sizes) => (ErrorCode::NONE, by_topic(sizes)),
        Err(error) => (fetch_code(&error), Vec::new()),
    };
    let directory = DescribeLogDirsResult {
        error_code,
        log_dir: KString::from(LOG_DIR),
        topics,
        ..DescribeLogDirsResult::default()
    };
    call.answer(&DescribeLogDirsResponse { results: vec![directory], ..DescribeLogDirsResponse::default() })
}

/// Partitions of a topic stand together: they come ordered by topic.
fn by_topic(sizes: Vec<PartitionSize>) -> Vec<DescribeLogDirsTopic> {
    let mut topics: Vec<DescribeLogDirsTopic> = Vec::new();
    for PartitionSize { at, bytes } in sizes {
        let partition = DescribeLogDirsPartition {
            partition_index: at.partition,
            partition_size: i64::try_from(bytes).unwrap_or(i64::MAX),
            ..DescribeLogDirsPartition::default()
        };
        match topics.last_mut() {
            Some(topic) if *topic.name == *at.topic => topic.partitions.push(partition),
            _ => topics.push(DescribeLogDirsTopic { name: KString::from(at.topic), partitions: vec![partition] }),
        }
    }
    topics
}
