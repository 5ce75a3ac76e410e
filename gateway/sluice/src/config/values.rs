//! The types of settings that are more than a number or a text: each is parsed from, and shown as, the same text.
//!
//! Never: resolves a name or opens anything.

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// Why a text is not a value of its setting.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct ValueError(String);

/// A host name or IP address and a port; an IPv6 address stands in brackets.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct HostPort {
    /// The host; an IPv6 address without its brackets.
    pub host: String,
    /// The port.
    pub port: u16,
}

impl HostPort {
    /// The host as an IP address, if it is one.
    #[must_use]
    pub fn ip(&self) -> Option<IpAddr> {
        self.host.parse().ok()
    }
}

impl From<SocketAddr> for HostPort {
    fn from(addr: SocketAddr) -> Self {
        Self { host: addr.ip().to_string(), port: addr.port() }
    }
}

impl FromStr for HostPort {
    type Err = ValueError;

    fn from_str(text: &str) -> Result<Self, ValueError> {
        let bad = |reason: &str| Err(ValueError(reason.to_owned()));
        let Some((host, port)) = text.rsplit_once(':') else {
            return bad("no port");
        };
        let Ok(port) = port.parse::<u16>() else {
            return bad("the port is not a number up to 65535");
        };
        let bracketed = host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
        let host = bracketed.unwrap_or(host);
        match bracketed {
            Some(inner) if inner.parse::<std::net::Ipv6Addr>().is_err() => bad("no IPv6 address in the brackets"),
            None if host.contains(':') => bad("an IPv6 address stands in brackets: [::1]:9092"),
            // 255: what fits a DNS name, and far below what Metadata's answer can carry.
            None if host.is_empty() || host.len() > 255 => bad("no host"),
            None if !host.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-' | b'_')) => {
                bad("the host has an illegal character")
            }
            _ => Ok(Self { host: host.to_owned(), port }),
        }
    }
}

impl fmt::Display for HostPort {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { host, port } = self;
        if host.contains(':') { write!(f, "[{host}]:{port}") } else { write!(f, "{host}:{port}") }
    }
}

/// Where HTTP is served, if anywhere.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum HttpListen {
    /// Nowhere.
    Off,
    /// Here.
    At(HostPort),
}

impl FromStr for HttpListen {
    type Err = ValueError;

    fn from_str(text: &str) -> Result<Self, ValueError> {
        if text == "off" { Ok(Self::Off) } else { text.parse().map(Self::At) }
    }
}

impl fmt::Display for HttpListen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Off => f.write_str("off"),
            Self::At(addr) => addr.fmt(f),
        }
    }
}

/// Which store.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum StoreKind {
    /// In this process.
    Memory,
    /// In files of this machine.
    Disk,
    /// S3 and DynamoDB.
    Aws,
}

/// Form of the log lines.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum LogFormat {
    /// For people.
    Text,
    /// One JSON object a line.
    Json,
}

/// FromStr and Display of an enum of words, so that each word is written once.
macro_rules! words {
    ($type:ident: $($variant:ident = $word:literal),+) => {
        impl FromStr for $type {
            type Err = ValueError;

            fn from_str(text: &str) -> Result<Self, ValueError> {
                match text {
                    $($word => Ok(Self::$variant),)+
                    _ => Err(ValueError(concat!("not one of", $(" ", $word),+).to_owned())),
                }
            }
        }

        impl fmt::Display for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(match self { $(Self::$variant => $word,)+ })
            }
        }
    };
}

words!(StoreKind: Memory = "memory", Disk = "disk", Aws = "aws");
words!(LogFormat: Text = "text", Json = "json");

/// What serde needs of a type that is a text in a file.
macro_rules! as_text {
    ($($type:ident),+) => {$(
        impl TryFrom<String> for $type {
            type Error = ValueError;

            fn try_from(text: String) -> Result<Self, ValueError> {
                text.parse()
            }
        }

        impl From<$type> for String {
            fn from(value: $type) -> Self {
                value.to_string()
            }
        }
    )+};
}

as_text!(HostPort, HttpListen, StoreKind, LogFormat);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_shown_as_they_are_written() {
        for text in
            ["127.0.0.1:0", "localhost:9092", "[::1]:9092", "[::]:65535", "broker-1.example.com:443", "my_host:1"]
        {
            assert_eq!(text.parse::<HostPort>().unwrap().to_string(), text);
            assert_eq!(text.parse::<HttpListen>().unwrap().to_string(), text);
        }
        assert_eq!("off".parse::<HttpListen>().unwrap(), HttpListen::Off);
    }

    #[test]
    fn what_is_no_address_is_refused() {
        for text in
            ["", "host", ":9092", "host:", "host:65536", "host:-1", "::1:9092", "[::1]", "[x]:1", "a b:1", "http://h:1"]
        {
            assert!(text.parse::<HostPort>().is_err(), "{text}");
        }
    }

    #[test]
    fn a_wrong_word_names_the_right_ones() {
        assert_eq!("s3".parse::<StoreKind>().unwrap_err().to_string(), "not one of memory disk aws");
        assert_eq!("json".parse::<LogFormat>().unwrap(), LogFormat::Json);
    }
}
