//! The address that clients are told to connect to.

use std::fmt;
use std::net::SocketAddr;
use std::str::FromStr;
use std::sync::{PoisonError, RwLock};

use sluice_protocol::KString;

/// A host name, or an address, and a port, as clients are to use them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HostPort {
    /// Host name or address, without brackets.
    pub host: String,
    /// Port.
    pub port: u16,
}

impl fmt::Display for HostPort {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.host.contains(':') {
            return write!(f, "[{}]:{}", self.host, self.port);
        }
        write!(f, "{}:{}", self.host, self.port)
    }
}

impl From<SocketAddr> for HostPort {
    fn from(addr: SocketAddr) -> Self {
        Self { host: addr.ip().to_string(), port: addr.port() }
    }
}

/// Not `host:port`.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not host:port (an IPv6 address stands in brackets)")]
pub struct InvalidHostPort(String);

impl FromStr for HostPort {
    type Err = InvalidHostPort;

    fn from_str(text: &str) -> Result<Self, InvalidHostPort> {
        let invalid = || InvalidHostPort(text.to_owned());
        let (host, port) = text.rsplit_once(':').ok_or_else(invalid)?;
        let bracketed = host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
        let is_bare_v6 = bracketed.is_none() && host.contains(':');
        let host = bracketed.unwrap_or(host);
        if host.is_empty() || is_bare_v6 || host.chars().any(char::is_whitespace) {
            return Err(invalid());
        }
        Ok(Self { host: host.to_owned(), port: port.parse().map_err(|_| invalid())? })
    }
}

/// The advertised address of one listener; may be set while it is being served.
#[derive(Debug)]
pub(crate) struct Advertised(RwLock<(KString, i32)>);

impl Advertised {
    pub(crate) fn new(address: &HostPort) -> Self {
        Self(RwLock::new(as_sent(address)))
    }

    /// Host and port as Metadata sends them.
    pub(crate) fn get(&self) -> (KString, i32) {
        self.0.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(crate) fn set(&self, address: &HostPort) {
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = as_sent(address);
    }
}

fn as_sent(address: &HostPort) -> (KString, i32) {
    (KString::from(address.host.as_str()), i32::from(address.port))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn host_and_port_are_read_and_shown() {
        for text in ["localhost:9092", "10.0.0.1:1", "[::1]:65535", "broker-1.example.org:9092"] {
            assert_eq!(text.parse::<HostPort>().unwrap().to_string(), text);
        }
        assert_eq!("[::1]:9092".parse::<HostPort>().unwrap().host, "::1");
        for text in ["", "localhost", ":9092", "h:", "h:65536", "h:-1", "::1:9092", "a b:1", "[]:1"] {
            assert!(text.parse::<HostPort>().is_err(), "{text}");
        }
    }
}
