//! DescribeCluster (key 60), versions 0–2.
//!
//! Behaviour: there is one broker, this gateway, at the address its listener advertises; it is never fenced. Operations are
//! told as Kafka tells them where nobody is authenticated: all of them.
//! Version notes: 1 asks for brokers or controllers (KIP-919); 2 for fenced brokers.
//! Errors: 114 controllers are asked for, 115 neither.

use futures_util::future::BoxFuture;
use sluice_protocol::messages::describe_cluster::DescribeClusterBroker;
use sluice_protocol::messages::{DescribeClusterRequest, DescribeClusterResponse};
use sluice_protocol::{DecodeError, ErrorCode, KString};

use super::CLUSTER_OPERATIONS;
use crate::dispatch::{Call, run_alone};
use crate::request::{Outcome, Stage};

const BROKERS: i8 = 1;
const CONTROLLERS: i8 = 2;

pub(crate) fn start(call: Call) -> Result<BoxFuture<'static, Stage>, DecodeError> {
    run_alone(call, handle)
}

async fn handle(call: Call, request: DescribeClusterRequest) -> Outcome {
    let refusal = match request.endpoint_type {
        BROKERS => None,
        CONTROLLERS => {
            Some((ErrorCode::MISMATCHED_ENDPOINT_TYPE, "this listener is a broker's: ask it for brokers".to_owned()))
        }
        other => Some((ErrorCode::UNSUPPORTED_ENDPOINT_TYPE, format!("endpoint type {other} is not known"))),
    };
    if let Some((error_code, reason)) = refusal {
        let error_message = Some(KString::from(reason));
        return call.answer(&DescribeClusterResponse {
            error_code,
            error_message,
            ..DescribeClusterResponse::default()
        });
    }
    let (host, port) = call.caller.advertised.get();
    let node_id = call.service.node_id;
    let unasked = DescribeClusterResponse::default();
    call.answer(&DescribeClusterResponse {
        cluster_id: KString::from(call.service.engine.cluster_id()),
        controller_id: node_id,
        brokers: vec![DescribeClusterBroker { broker_id: node_id, host, port, rack: None, is_fenced: false }],
        cluster_authorized_operations: match request.include_cluster_authorized_operations {
            true => CLUSTER_OPERATIONS,
            false => unasked.cluster_authorized_operations,
        },
        ..unasked
    })
}
