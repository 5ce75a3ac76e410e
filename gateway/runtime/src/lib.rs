//! Clock, entropy and sockets as things one is given (I-13).
//!
//! Promises: everything that makes two runs differ (time, randomness, the network) enters the gateway through the three
//! seams of this crate, in a real and in a simulated form; under the simulated form the same seed gives the same run.
//! Never: reads the clock, draws a random number or opens a socket anywhere but in the `real` forms here.
//! Called by `engine`, `server` and the adapters; composed by `sluice` and the tests.
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing))]

mod clock;
mod entropy;
mod gaps;
mod net;
mod tcp;

pub use clock::{Clock, SharedClock, SystemClock, TokioClock};
pub use entropy::{Entropy, OsEntropy, SeededEntropy, SharedEntropy};
pub use gaps::{BEAT, GapWatch};
pub use net::{
    Accepted, Connector, Duplex, Listener, MemoryListener, MemoryStream, PeerAddr, memory_listener, memory_pipe,
};
pub use tcp::TcpAcceptor;
