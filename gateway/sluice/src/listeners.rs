//! The sockets of a process: resolved, judged, bound.
//!
//! Promises: nothing that other machines can reach is opened by accident, and no address is advertised that clients cannot
//! connect to; a taken port is one line that names it. Never: accepts a connection. Called by [`crate::run`] and
//! [`crate::check`].

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use anyhow::{Context, anyhow, bail, ensure};
use sluice_runtime::TcpAcceptor;

use crate::config::{Config, HostPort};

/// Longest that a host name of our own configuration takes to resolve.
const RESOLVE_TIMEOUT: Duration = Duration::from_secs(5);

/// Resolves the Kafka listener and judges whether it may be opened.
///
/// # Errors
/// One line: the name does not resolve, or the address needs `--advertise` or `--insecure`.
pub async fn resolve_listen(config: &Config) -> anyhow::Result<SocketAddr> {
    let addr = resolve("listen", &config.listen).await?;
    judge_listen(addr, config.gateway.advertise.as_ref(), config.insecure)?;
    Ok(addr)
}

/// Resolves a setting's address.
///
/// # Errors
/// When its name does not resolve in time.
pub async fn resolve(key: &str, addr: &HostPort) -> anyhow::Result<SocketAddr> {
    if let Some(ip) = addr.ip() {
        return Ok(SocketAddr::new(ip, addr.port));
    }
    let lookup = tokio::net::lookup_host((addr.host.as_str(), addr.port));
    let found =
        tokio::time::timeout(RESOLVE_TIMEOUT, lookup).await.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()));
    let first = found.with_context(|| format!("--{key} {addr}: the host does not resolve"))?.next();
    first.ok_or_else(|| anyhow!("--{key} {addr}: the host has no address"))
}

fn judge_listen(addr: SocketAddr, advertise: Option<&HostPort>, insecure: bool) -> anyhow::Result<()> {
    // ::ffff:0.0.0.0 is 0.0.0.0, whatever it looks like.
    let ip = addr.ip().to_canonical();
    if ip.is_unspecified() && advertise.is_none() {
        bail!(
            "--listen {addr} needs --advertise HOST:PORT, the address that clients can reach: \
             they are told where to connect, and cannot connect to {ip}"
        );
    }
    ensure!(
        ip.is_loopback() || insecure,
        "--listen {addr} can be reached from other machines and has no authentication: \
         give --insecure if the network may do so, or listen on 127.0.0.1"
    );
    Ok(())
}

/// Listens at `addr`, the value of the flag `key`.
///
/// # Errors
/// One line that names the address, the reason, and the flag to change.
pub async fn bind(key: &str, addr: SocketAddr) -> anyhow::Result<TcpAcceptor> {
    TcpAcceptor::bind(addr).await.map_err(|error| {
        let advice = match error.kind() {
            io::ErrorKind::AddrInUse => "another process has the port: stop it, or give another",
            io::ErrorKind::AddrNotAvailable => "this machine has no such address: give another",
            io::ErrorKind::PermissionDenied => "this user may not open that port: give one above 1023 with",
            _ => "give another",
        };
        let off = if key == "http" { " (or off)" } else { "" };
        anyhow!("cannot listen on {addr}: {error}: {advice} --{key}{off}")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn judge(addr: &str, advertise: Option<&str>, insecure: bool) -> Result<(), String> {
        let advertise = advertise.map(|text| text.parse().unwrap());
        judge_listen(addr.parse().unwrap(), advertise.as_ref(), insecure).map_err(|error| error.to_string())
    }

    #[test]
    fn the_loopback_needs_nothing() {
        for addr in ["127.0.0.1:0", "[::1]:9092", "127.8.8.8:1", "[::ffff:127.0.0.1]:1"] {
            assert_eq!(judge(addr, None, false), Ok(()));
        }
    }

    #[test]
    fn what_others_can_reach_needs_insecure() {
        for (addr, advertise) in [("10.0.0.1:9092", None), ("0.0.0.0:9092", Some("h:1")), ("[::]:1", Some("h:1"))] {
            assert!(judge(addr, advertise, false).unwrap_err().contains("--insecure"), "{addr}");
            assert_eq!(judge(addr, advertise, true), Ok(()), "{addr}");
        }
    }

    #[test]
    fn the_unspecified_address_needs_advertise_whatever_else_is_given() {
        for (addr, insecure) in
            [("0.0.0.0:9092", true), ("[::]:9092", true), ("0.0.0.0:0", false), ("[::ffff:0.0.0.0]:1", true)]
        {
            assert!(judge(addr, None, insecure).unwrap_err().contains("--advertise"), "{addr}");
        }
    }

    #[tokio::test]
    async fn a_taken_port_is_named_with_its_flag() {
        let first = bind("listen", "127.0.0.1:0".parse().unwrap()).await.unwrap();
        let addr = sluice_runtime::Listener::local_addr(&first).unwrap();
        let error = bind("http", addr).await.unwrap_err().to_string();
        assert!(error.contains(&addr.to_string()) && error.contains("--http (or off)"), "{error}");
    }

    #[tokio::test]
    async fn localhost_resolves() {
        let addr = resolve("listen", &"localhost:9092".parse().unwrap()).await.unwrap();
        assert!(addr.ip().is_loopback() && addr.port() == 9092);
    }
}
