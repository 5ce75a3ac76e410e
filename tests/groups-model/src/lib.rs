//! A reference model of Kafka's classic groups, and scripts that compare a broker with it.
//!
//! Promises: the model was written from Kafka's own behaviour and agrees with a real broker; a script is a function of its
//! seed; a run over any broker either agrees with the model or tells where it does not. Never: depends on the gateway's own
//! code, except for the wire format.

pub mod compare;
pub mod drive;
pub mod generate;
pub mod manner;
pub mod members;
pub mod model;
mod offsets;
pub mod request;
pub mod script;
pub mod wire;
