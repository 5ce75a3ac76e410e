//! The emulators themselves: nothing of them may be left behind.

use std::net::TcpStream;

use sluice_tests::emulator::{self, Emulator};

#[test]
fn an_emulator_ends_with_its_handle() {
    // Skips where the others do.
    let _ = emulator::s3_endpoint();
    let emulator = Emulator::start("ministack").unwrap();
    let addr = emulator.endpoint().strip_prefix("http://").unwrap().to_owned();
    assert!(TcpStream::connect(&addr).is_ok(), "it listens at {addr}");
    drop(emulator);
    assert!(TcpStream::connect(&addr).is_err(), "nobody listens at {addr} any more");
}
