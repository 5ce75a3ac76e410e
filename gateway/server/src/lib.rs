//! Connections, dispatch and handlers: the wire side of the gateway.
//!
//! Promises: Kafka's protocol as the table (`table`) says, to any number of clients, none of which can disturb
//! another (I-09). Never: sees a store, or holds state of Kafka's: what a handler knows it asks the engine.
//! Called by `sluice`, which binds the listeners, and by tests, which bring listeners of their own.

mod admission;
mod advertised;
mod connection;
mod deadlines;
mod dispatch;
mod errors;
mod frame;
mod handlers;
mod http;
mod inflight;
mod limits;
mod listener;
mod log_gate;
mod metrics;
mod outbox;
mod refusal;
mod request;
mod server;
mod shutdown;
mod table;

pub use advertised::{HostPort, InvalidHostPort};
pub use limits::Limits;
pub use server::{KafkaListener, Listeners, Server, ServerConfig, ServerHandle, StartError};
pub use table::protocol_coverage_markdown;
