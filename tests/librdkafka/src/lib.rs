//! Suites that drive librdkafka, in a member of their own: it compiles C.
