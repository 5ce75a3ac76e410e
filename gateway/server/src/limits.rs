//! Every bound and default of the wire side (design section 14, I-14): one file, so that tests can set each of them tiny.
//!
//! The bounds of produce, fetch and State are the engine's (`engine/limits.rs`).

use std::time::Duration;

/// Bounds of frames, buffers, queues, connections and times.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// Largest frame, in bytes after the length (`socket.request.max.bytes`). A longer one closes the connection.
    pub frame_bytes_max: usize,
    /// Memory given to a frame at once, in bytes; a longer frame gets more by doubling, as its bytes arrive.
    pub frame_bytes_at_once: usize,
    /// Frames up to this size, in bytes, take nothing from `receive_bytes_max` and `request_bytes_max`: they fit a pooled
    /// buffer.
    pub frame_bytes_free: usize,
    /// Memory of larger frames, in bytes, over all connections, while they are received. When it is used up, the sockets
    /// that carry such frames are not read; one frame may go beyond it.
    pub receive_bytes_max: usize,
    /// Memory of what larger frames decode to, in bytes, over all connections. When it is used up, such frames wait.
    pub request_bytes_max: usize,
    /// A frame must be whole so long after its first byte, or its connection is closed …
    pub frame_timeout: Duration,
    /// … and a long one, or an answer that is long, has a second more for each so many bytes.
    pub bytes_per_second_min: usize,
    /// Requests that one connection begins, before others have their turn.
    pub turn_requests: usize,
    /// Bytes that one connection reads and writes, before others have their turn.
    pub turn_bytes: usize,
    /// Size of a pooled read buffer, in bytes.
    pub read_buffer_bytes: usize,
    /// Read buffers kept for the next connection that turns readable.
    pub read_buffers_kept: usize,
    /// Larger read buffers kept for the next large frame; each has at most `frame_bytes_at_once`.
    pub large_buffers_kept: usize,
    /// A Produce frame up to this size, in bytes, is copied out of the read buffer it shares with other frames: its
    /// records live as long as the cache keeps them and would keep the whole buffer.
    pub produce_bytes_copied: usize,
    /// Produce requests of one connection that were submitted and are not yet answered.
    pub produces_in_flight_max: usize,
    /// Answers of one connection not yet written, in bytes, above which its next request waits.
    pub answer_bytes_ahead: usize,
    /// A connection whose peer takes nothing of a waiting answer for so long is closed; also one whose peer has not taken
    /// all that waited so long ago, with the time that `bytes_per_second_min` gives it.
    pub write_timeout: Duration,
    /// Answers waiting to be written, in bytes, over all connections, above which slow readers have `write_timeout_scarce`.
    pub answer_bytes_max: usize,
    /// In place of `write_timeout` while memory for answers is scarce.
    pub write_timeout_scarce: Duration,
    /// A connection that asks nothing for so long is closed.
    pub idle_timeout: Duration,
    /// Connections over all listeners. At the bound nothing more is accepted until one closes.
    pub connections_max: usize,
    /// Pause after an accept that failed.
    pub accept_pause: Duration,
    /// Lines logged about misbehaving peers in each `log_window`; more are counted only.
    pub log_lines_max: u32,
    /// See `log_lines_max`.
    pub log_window: Duration,
    /// Longest graceful stop, from the call to the last byte.
    pub shutdown_max: Duration,
    /// After the last answer and the FIN: how long, and for how many bytes, unread input is still taken in, so that the
    /// kernel does not reset the connection while the last answers are on their way.
    pub linger_max: Duration,
    /// See `linger_max`.
    pub linger_bytes_max: usize,
    /// Least time that a Produce is given, whatever it asks for: Kafka's is for replicas, and here there is one. The store is
    /// waited for for half of it.
    pub produce_wait_min: Duration,
    /// Longest a Produce waits for its records' place in the log, whatever it asks for.
    pub produce_wait_max: Duration,
    /// Longest a CreateTopics waits, whatever it asks for.
    pub admin_wait_max: Duration,
    /// Bytes of records in one Fetch answer, whatever the request asks for (`fetch.max.bytes`).
    pub fetch_bytes_max: usize,
    /// HTTP connections at once.
    pub http_connections_max: usize,
    /// An HTTP request's head must have come within this time; also the longest a kept-alive connection idles.
    pub http_head_timeout: Duration,
    /// Largest head of an HTTP request, in bytes. Bodies are not read.
    pub http_head_bytes_max: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            frame_bytes_max: 100 << 20,
            frame_bytes_at_once: 1 << 20,
            frame_bytes_free: 64 << 10,
            receive_bytes_max: 256 << 20,
            request_bytes_max: 256 << 20,
            frame_timeout: Duration::from_secs(60),
            bytes_per_second_min: 256 << 10,
            turn_requests: 64,
            turn_bytes: 1 << 20,
            read_buffer_bytes: 64 << 10,
            read_buffers_kept: 32,
            large_buffers_kept: 4,
            produce_bytes_copied: 4 << 10,
            produces_in_flight_max: 64,
            answer_bytes_ahead: 64 << 10,
            write_timeout: Duration::from_secs(30),
            answer_bytes_max: 192 << 20,
            write_timeout_scarce: Duration::from_secs(2),
            idle_timeout: Duration::from_secs(300),
            connections_max: 10_000,
            accept_pause: Duration::from_millis(50),
            log_lines_max: 10,
            log_window: Duration::from_secs(10),
            shutdown_max: Duration::from_secs(25),
            linger_max: Duration::from_secs(1),
            linger_bytes_max: 1 << 20,
            produce_wait_min: Duration::from_secs(1),
            produce_wait_max: Duration::from_secs(300),
            admin_wait_max: Duration::from_secs(300),
            fetch_bytes_max: 55 << 20,
            http_connections_max: 64,
            http_head_timeout: Duration::from_secs(10),
            http_head_bytes_max: 16 << 10,
        }
    }
}
