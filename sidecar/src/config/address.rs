//! Addresses as operators write them.

use std::{fmt, net::SocketAddr, path::PathBuf, str::FromStr};

use serde::Deserialize;
use thiserror::Error;

/// Longest host name (RFC 1035, section 2.3.4).
const HOST_BYTES_MAX: usize = 253;

/// The text is no address of the form that its field wants.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("{text:?} is not {wanted}")]
pub struct AddressError {
    text: String,
    wanted: &'static str,
}

impl AddressError {
    fn new(text: &str, wanted: &'static str) -> Self {
        Self { text: text.to_owned(), wanted }
    }
}

/// A host (name, IPv4, or IPv6 in brackets) and a port.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Deserialize)]
#[serde(try_from = "String")]
pub struct HostPort {
    host: String,
    port: u16,
}

impl HostPort {
    /// The host; an IPv6 address without its brackets.
    #[must_use]
    pub fn host(&self) -> &str {
        &self.host
    }

    /// The port.
    #[must_use]
    pub const fn port(&self) -> u16 {
        self.port
    }
}

impl FromStr for HostPort {
    type Err = AddressError;

    fn from_str(text: &str) -> Result<Self, AddressError> {
        let wrong = || AddressError::new(text, "host:port, such as \"127.0.0.1:15443\"");
        let (host, port) = text.rsplit_once(':').ok_or_else(wrong)?;
        let port = port.parse().map_err(|_| wrong())?;
        let bracketed = host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
        let host = match bracketed {
            Some(inner) => inner.parse::<std::net::Ipv6Addr>().map(|_| inner).map_err(|_| wrong())?,
            None => host,
        };
        let good = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'_');
        if host.is_empty() || host.len() > HOST_BYTES_MAX || !(bracketed.is_some() || host.bytes().all(good)) {
            return Err(wrong());
        }
        Ok(Self { host: host.to_owned(), port })
    }
}

impl fmt::Display for HostPort {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.host.contains(':') {
            write!(f, "[{}]:{}", self.host, self.port)
        } else {
            write!(f, "{}:{}", self.host, self.port)
        }
    }
}

/// Where a listener is bound: an IP address and port (0: a free one), or a Unix socket.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub enum BindAddress {
    /// `127.0.0.1:15001`
    Tcp(SocketAddr),
    /// `unix:/run/chapar/outbound.sock`
    Unix(PathBuf),
}

impl FromStr for BindAddress {
    type Err = AddressError;

    fn from_str(text: &str) -> Result<Self, AddressError> {
        let wrong = || AddressError::new(text, "ip:port or unix:/path");
        if let Some(path) = text.strip_prefix("unix:") {
            return if path.starts_with('/') { Ok(Self::Unix(path.into())) } else { Err(wrong()) };
        }
        text.parse().map(Self::Tcp).map_err(|_| wrong())
    }
}

impl fmt::Display for BindAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(address) => address.fmt(f),
            Self::Unix(path) => write!(f, "unix:{}", path.display()),
        }
    }
}

/// Where the agency's own server is reached.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Deserialize)]
#[serde(try_from = "String")]
pub enum UpstreamAddress {
    /// `127.0.0.1:50051` or `http://127.0.0.1:50051`: HTTP/2 with prior knowledge, without TLS.
    Plain(HostPort),
    /// `https://identity.internal:443`
    Tls(HostPort),
    /// `unix:/run/identity.sock`
    Unix(PathBuf),
}

impl FromStr for UpstreamAddress {
    type Err = AddressError;

    fn from_str(text: &str) -> Result<Self, AddressError> {
        let wrong = || AddressError::new(text, "host:port, https://host:port or unix:/path");
        if let Some(path) = text.strip_prefix("unix:") {
            return if path.starts_with('/') { Ok(Self::Unix(path.into())) } else { Err(wrong()) };
        }
        if let Some(rest) = text.strip_prefix("https://") {
            return rest.parse().map(Self::Tls).map_err(|_| wrong());
        }
        text.strip_prefix("http://").unwrap_or(text).parse().map(Self::Plain).map_err(|_| wrong())
    }
}

impl fmt::Display for UpstreamAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Plain(address) => address.fmt(f),
            Self::Tls(address) => write!(f, "https://{address}"),
            Self::Unix(path) => write!(f, "unix:{}", path.display()),
        }
    }
}

macro_rules! from_string {
    ($($address:ty),*) => {$(
        impl TryFrom<String> for $address {
            type Error = AddressError;

            fn try_from(text: String) -> Result<Self, AddressError> {
                text.parse()
            }
        }
    )*};
}

from_string!(HostPort, BindAddress, UpstreamAddress);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn writes_what_it_reads() {
        for text in ["127.0.0.1:0", "control-plane.exchange.svc:15443", "[::1]:15443"] {
            assert_eq!(text.parse::<HostPort>().map(|address| address.to_string()), Ok(text.to_owned()));
        }
        for text in ["127.0.0.1:50051", "https://identity:443", "unix:/run/identity.sock"] {
            assert_eq!(text.parse::<UpstreamAddress>().map(|address| address.to_string()), Ok(text.to_owned()));
        }
        for text in ["0.0.0.0:15002", "[::]:0", "unix:/run/out.sock"] {
            assert_eq!(text.parse::<BindAddress>().map(|address| address.to_string()), Ok(text.to_owned()));
        }
        assert_eq!("http://a:1".parse::<UpstreamAddress>(), "a:1".parse::<UpstreamAddress>());
    }

    #[test]
    fn refuses_what_is_no_address() {
        for text in ["", "host", "host:", ":1", "host:65536", "::1:1", "[::1:1", "a/b:1", "user@host:1", "[nonsense]:1"] {
            assert!(text.parse::<HostPort>().is_err(), "{text}");
        }
        for text in ["localhost:1", "unix:relative", "unix:", "127.0.0.1"] {
            assert!(text.parse::<BindAddress>().is_err(), "{text}");
        }
        for text in ["ftp://a:1", "https://a", "unix:x", "https://"] {
            assert!(text.parse::<UpstreamAddress>().is_err(), "{text}");
        }
    }
}
