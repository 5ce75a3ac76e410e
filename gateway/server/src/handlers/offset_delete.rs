//! OffsetDelete (key 47), version 0.
//!
//! Behaviour: as Kafka's: offsets of topics that a member is subscribed to stay.
//! Errors: of the whole, 24 an empty id, 69 unknown group, 68 a group with members that are no consumers, 15 what could not
//! be decided now (Java's admin client asks again); per partition, 3 unknown, 86 subscribed.

use futures_util::future::BoxFuture;
use sluice_engine::{EngineResult, TopicRef};
use sluice_protocol::messages::offset_delete::{OffsetDeleteResponsePartition, OffsetDeleteResponseTopic};
use sluice_protocol::messages::{OffsetDeleteRequest, OffsetDeleteResponse};
use sluice_protocol::{DecodeError, ErrorCode};

use crate::dispatch::{Call, run_alone};
use crate::errors::group_code;
use crate::request::{Outcome, Stage};

pub(crate) fn start(call: Call) -> Result<BoxFuture<'static, Stage>, DecodeError> {
    run_alone(call, handle)
}

async fn handle(call: Call, request: OffsetDeleteRequest) -> Outcome {
    let origin = call.origin();
    let asked = request.topics.iter().flat_map(|topic| {
        let name = topic.name.as_str();
        topic.partitions.iter().map(move |asked| (TopicRef::Name(name.to_owned()), asked.partition_index))
    });
    match call.service.engine.delete_offsets(&origin, request.group_id.as_str(), asked.collect()).await {
        Ok(deleted) => call.answer(&tell(request, deleted)),
        Err(error) => {
            call.answer(&OffsetDeleteResponse { error_code: group_code(&error), ..OffsetDeleteResponse::default() })
        }
    }
}

fn tell(request: OffsetDeleteRequest, deleted: Vec<EngineResult<()>>) -> OffsetDeleteResponse {
    let code = |deleted: EngineResult<()>| deleted.map_or_else(|error| group_code(&error), |()| ErrorCode::NONE);
    let mut codes = deleted.into_iter().map(code);
    // A topic without partitions is left out, as in Kafka.
    let topics = request.topics.into_iter().filter(|topic| !topic.partitions.is_empty()).map(|topic| {
        OffsetDeleteResponseTopic {
            name: topic.name,
            partitions: topic
                .partitions
                .iter()
                .map(|asked| OffsetDeleteResponsePartition {
                    partition_index: asked.partition_index,
                    error_code: codes.next().unwrap_or(ErrorCode::COORDINATOR_NOT_AVAILABLE),
                })
                .collect(),
        }
    });
    OffsetDeleteResponse { topics: topics.collect(), ..OffsetDeleteResponse::default() }
}
