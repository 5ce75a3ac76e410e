//! Where Kafka semantics meet IO: replica, produce, fetch.
