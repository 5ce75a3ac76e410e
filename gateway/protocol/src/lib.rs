//! The Kafka wire format: messages, headers and frames. Pure, sans-IO.
