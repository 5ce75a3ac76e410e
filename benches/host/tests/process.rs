//! The program as `sluice-bench groups` uses it: over its standard input and output.
#![allow(clippy::unwrap_used, missing_docs)]

use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpStream};
use std::process::{Command, Stdio};

/// Pairs of addresses, Kafka's and HTTP's, in the line that says where gateways are; each is listened at.
fn announced(line: &str) -> Vec<Vec<SocketAddr>> {
    let words = line.strip_prefix("fleet: ").unwrap_or_else(|| panic!("no announcement: {line:?}"));
    let pairs = words.split(' ').map(|word| {
        let addresses: Vec<SocketAddr> = word.split('/').map(|address| address.parse().unwrap()).collect();
        assert!(addresses.len() == 2 && addresses.iter().all(|address| TcpStream::connect(address).is_ok()), "{word}");
        addresses
    });
    pairs.collect()
}

#[test]
fn it_says_where_gateways_are_restarts_them_and_ends_with_its_input() {
    let mut host = Command::new(env!("CARGO_BIN_EXE_sluice-bench-host"))
        .args(["--gateways=2", "--store-latency-ms=1", "--initial-delay-ms=1000", "--session-lease-ms=6000"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    // Should anything here fail, its end closes this, and the host ends with it.
    let mut stdin = host.stdin.take().unwrap();
    let mut lines = BufReader::new(host.stdout.take().unwrap()).lines();
    assert_eq!(announced(&lines.next().unwrap().unwrap()).len(), 2);
    writeln!(stdin, "restart").unwrap();
    assert_eq!(announced(&lines.next().unwrap().unwrap()).len(), 2);
    drop(stdin);
    assert!(host.wait().unwrap().success());
}
