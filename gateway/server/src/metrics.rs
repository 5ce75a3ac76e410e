//! What the wire side counts.
//!
//! Promises: counting a request looks nothing up: its counters are found by index. Read by `http` as `/metrics`.

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::Registry;

use crate::refusal::Close;

type Labels<const N: usize> = [(&'static str, String); N];

/// Counters of one API.
struct ApiMetrics {
    /// Lowest version that is counted.
    version_min: i16,
    /// Requests by version, from `version_min` on.
    requests: Vec<Counter>,
    seconds: Histogram,
}

/// One API to be counted: its name and the versions that can come.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Counted {
    pub(crate) name: &'static str,
    pub(crate) version_min: i16,
    pub(crate) version_max: i16,
}

/// The counters.
pub(crate) struct Metrics {
    apis: Vec<ApiMetrics>,
    pub(crate) bytes_received: Counter,
    pub(crate) bytes_sent: Counter,
    pub(crate) connections: Gauge,
    /// Buffers of large requests being received.
    pub(crate) receiving_bytes: Gauge,
    /// What large requests decode to.
    pub(crate) decoding_bytes: Gauge,
    /// Answers that their peers have not taken.
    pub(crate) waiting_answer_bytes: Gauge,
    pub(crate) connections_accepted: Counter,
    closed: Vec<(&'static str, Counter)>,
    pub(crate) panics: Counter,
}

fn request_seconds() -> Histogram {
    Histogram::new(exponential_buckets(0.0001, 2.5, 14))
}

impl Metrics {
    /// Registers the counters of `apis`, in their order, and of the connections.
    pub(crate) fn new(registry: &mut Registry, apis: &[Counted]) -> Self {
        let requests: Family<Labels<2>, Counter> = Family::default();
        let seconds: Family<Labels<1>, Histogram> = Family::new_with_constructor(request_seconds);
        let closed: Family<Labels<1>, Counter> = Family::default();
        registry.register("sluice_requests", "Requests begun, by API and version", requests.clone());
        registry.register("sluice_request_seconds", "Time from a whole request to its answer", seconds.clone());
        registry.register("sluice_connections_closed", "Connections closed, by reason", closed.clone());
        let metrics = Self {
            apis: apis.iter().map(|api| api_metrics(*api, &requests, &seconds)).collect(),
            bytes_received: Counter::default(),
            bytes_sent: Counter::default(),
            connections: Gauge::default(),
            receiving_bytes: Gauge::default(),
            decoding_bytes: Gauge::default(),
            waiting_answer_bytes: Gauge::default(),
            connections_accepted: Counter::default(),
            closed: Close::LABELS
                .map(|label| (label, closed.get_or_create_owned(&[("reason", label.to_owned())])))
                .into(),
            panics: Counter::default(),
        };
        let counters = [
            ("sluice_bytes_received", "Bytes received from Kafka clients", &metrics.bytes_received),
            ("sluice_bytes_sent", "Bytes sent to Kafka clients", &metrics.bytes_sent),
            ("sluice_connections_accepted", "Connections accepted", &metrics.connections_accepted),
            ("sluice_handler_panics", "Requests whose handler panicked", &metrics.panics),
        ];
        for (name, help, counter) in counters {
            registry.register(name, help, counter.clone());
        }
        let gauges = [
            ("sluice_connections", "Connections open now", &metrics.connections),
            ("sluice_receiving_bytes", "Memory held for large requests being received", &metrics.receiving_bytes),
            ("sluice_decoding_bytes", "Memory held for what large requests decode to", &metrics.decoding_bytes),
            ("sluice_waiting_answer_bytes", "Answers that clients have not taken", &metrics.waiting_answer_bytes),
        ];
        for (name, help, gauge) in gauges {
            registry.register(name, help, gauge.clone());
        }
        metrics
    }

    /// Counts a request that begins.
    pub(crate) fn count_request(&self, api: usize, version: i16) {
        let Some(api) = self.apis.get(api) else { return };
        let index = usize::try_from(i32::from(version) - i32::from(api.version_min));
        if let Some(counter) = index.ok().and_then(|index| api.requests.get(index)) {
            counter.inc();
        }
    }

    /// Notes how long a request took.
    pub(crate) fn observe_request(&self, api: usize, seconds: f64) {
        if let Some(api) = self.apis.get(api) {
            api.seconds.observe(seconds);
        }
    }

    /// Counts a connection that was closed.
    pub(crate) fn count_close(&self, close: &Close) {
        let label = close.label();
        if let Some((_, counter)) = self.closed.iter().find(|(name, _)| *name == label) {
            counter.inc();
        }
    }
}

fn api_metrics(
    api: Counted,
    requests: &Family<Labels<2>, Counter>,
    seconds: &Family<Labels<1>, Histogram>,
) -> ApiMetrics {
    let name = api.name.to_owned();
    let of_version =
        |version: i16| requests.get_or_create_owned(&[("api", name.clone()), ("version", version.to_string())]);
    ApiMetrics {
        version_min: api.version_min,
        requests: (api.version_min..=api.version_max).map(of_version).collect(),
        seconds: seconds.get_or_create_owned(&[("api", name.clone())]),
    }
}
