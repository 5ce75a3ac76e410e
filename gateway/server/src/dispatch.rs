//! From a frame to its handler, by the table.
//!
//! Promises: a handler sees only versions in the table (I-08); the correlation id is taken from the header once and
//! given back with the answer (known issue 2); what is outside the table closes the connection, except an unknown version
//! of ApiVersions, which is answered so that the client can go on. Called by `connection` through [`Dispatch`].

use std::sync::Arc;

use bytes::Bytes;
use futures_util::future::{BoxFuture, FutureExt};
use sluice_engine::{ClientInfo, Engine, EngineResult, Liveness, Origin};
use sluice_protocol::{ApiKey, DecodeError, HeaderStart, Message, Request, decode_request, encode_response};
use sluice_runtime::SharedClock;

use crate::handlers::api_versions;
use crate::limits::Limits;
use crate::refusal::Refusal;
use crate::request::{Caller, Dispatch, Outcome, Stage, Started};
use crate::table::{self, Row};

/// What handlers work with, besides the request. They hold no state of their own.
pub(crate) struct Service {
    pub(crate) engine: Engine,
    /// The one broker id.
    pub(crate) node_id: i32,
    pub(crate) limits: Limits,
    pub(crate) clock: SharedClock,
}

/// A request on its way to its handler.
pub(crate) struct Call {
    pub(crate) service: Arc<Service>,
    pub(crate) caller: Arc<Caller>,
    pub(crate) row: &'static Row,
    pub(crate) version: i16,
    correlation_id: i32,
    frame: Bytes,
}

impl Call {
    /// Reads the request. Afterwards the frame lives only as long as what was read from it.
    pub(crate) fn decode<R: Request>(&mut self) -> Result<R, DecodeError> {
        let frame = std::mem::take(&mut self.frame);
        Ok(decode_request::<R>(&frame)?.1)
    }

    /// Reads the request, and who asks, as administrators are shown it. The latter is no part of the frame any more.
    pub(crate) fn decode_with_client<R: Request>(&mut self) -> Result<(ClientInfo, R), DecodeError> {
        let frame = std::mem::take(&mut self.frame);
        let (header, body) = decode_request::<R>(&frame)?;
        let client_id = header.client_id.map_or_else(String::new, String::from);
        Ok((ClientInfo { client_id, host: self.caller.host.clone() }, body))
    }

    /// Where the request comes from, as of now: to be asked for when it is begun (T7).
    pub(crate) fn origin(&self) -> Origin {
        let connection: Arc<dyn Liveness> = Arc::<Caller>::clone(&self.caller);
        Origin { connection, read_at: self.service.clock.now(), gaps: self.service.engine.gaps().count() }
    }

    /// The answer, in the request's version and with its correlation id.
    pub(crate) fn answer(&self, body: &impl Message) -> Outcome {
        self.answer_in_version(self.version, body)
    }

    /// The answer in another version: ApiVersions only.
    pub(crate) fn answer_in_version(&self, version: i16, body: &impl Message) -> Outcome {
        encode_response(self.correlation_id, self.row.key, version, body).into()
    }

    /// Makes sure that State is fresh enough to answer from (T4, T6); for the first request of a connection that needs
    /// it, that it is not older than the request (T5): the client may come from another gateway, and must find here
    /// what it saw there.
    pub(crate) async fn freshen(&self) -> EngineResult<()> {
        if self.caller.has_barrier() {
            return self.service.engine.ensure_fresh().await;
        }
        self.service.engine.barrier().await?;
        self.caller.note_barrier();
        Ok(())
    }
}

/// Begins a request that runs alone.
pub(crate) fn run_alone<R, F>(
    mut call: Call,
    handle: impl FnOnce(Call, R) -> F,
) -> Result<BoxFuture<'static, Stage>, DecodeError>
where
    R: Request,
    F: Future<Output = Outcome> + Send + 'static,
{
    let request = call.decode::<R>()?;
    Ok(Box::pin(handle(call, request).map(Stage::Settled)))
}

/// The gateway's APIs.
pub(crate) struct ApiDispatch {
    service: Arc<Service>,
}

impl ApiDispatch {
    pub(crate) fn new(engine: Engine, node_id: i32, limits: Limits, clock: SharedClock) -> Self {
        Self { service: Arc::new(Service { engine, node_id, limits, clock }) }
    }

    /// The row and its place, if the feature level of State has reached it (I-12).
    fn find(&self, key: i16) -> Option<(usize, &'static Row)> {
        let (index, row) = table::find(key)?;
        let is_served = row.since_level <= table::FIRST_LEVEL || row.since_level <= self.service.engine.feature_level();
        is_served.then_some((index, row))
    }
}

/// Records outlive their request in the cache: a small Produce leaves the read buffer that it shares with others.
fn unshare(key: ApiKey, frame: Bytes, limits: &Limits) -> Bytes {
    if key == ApiKey::Produce && frame.len() <= limits.produce_bytes_copied {
        return Bytes::copy_from_slice(&frame);
    }
    frame
}

impl Dispatch for ApiDispatch {
    fn overlaps(&self, key: i16) -> bool {
        table::find(key).is_some_and(|(_, row)| row.overlaps)
    }

    fn memory_estimate(&self, key: Option<i16>, frame_bytes: usize) -> usize {
        table::memory_estimate(key, frame_bytes)
    }

    fn start(&self, frame: Bytes, caller: &Arc<Caller>) -> Result<Started, Refusal> {
        let HeaderStart { api_key, api_version: version, correlation_id } = HeaderStart::peek(&frame)?;
        let (api, row) = self.find(api_key).ok_or(Refusal::UnknownApi(api_key))?;
        let call = Call {
            service: Arc::clone(&self.service),
            caller: Arc::clone(caller),
            row,
            version,
            correlation_id,
            frame: unshare(row.key, frame, &self.service.limits),
        };
        // I-08.
        let stage = match (row.answers(version), row.key) {
            (true, _) => (row.start)(call)?,
            (false, ApiKey::ApiVersions) => api_versions::answer_unknown_version(&call),
            (false, key) => {
                return Err(Refusal::UnsupportedVersion { api: key.name(), version });
            }
        };
        Ok(Started { api, version, ends_with_peer: row.ends_with_peer, stage })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_small_produces_leave_the_shared_buffer() {
        let limits = Limits { produce_bytes_copied: 100, ..Limits::default() };
        let is_copied = |key, len| {
            let frame = Bytes::from(vec![1; len]);
            let unshared = unshare(key, frame.clone(), &limits);
            assert_eq!(unshared, frame);
            unshared.as_ptr() != frame.as_ptr()
        };
        assert!(is_copied(ApiKey::Produce, 100));
        assert!(!is_copied(ApiKey::Produce, 101));
        assert!(!is_copied(ApiKey::Fetch, 100));
    }
}
