//! Where the sidecar listens.

use std::net::{Ipv4Addr, SocketAddr};

use serde::Deserialize;

use super::BindAddress;

/// Addresses of the listeners; port 0 picks a free one, written to `<stateDir>/addresses.json`.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Listen {
    /// For the agency's own applications: HTTP/2 without TLS, so on loopback or a Unix socket. Default 127.0.0.1:15001.
    pub outbound: BindAddress,
    /// For other sidecars: mutual TLS. Unset: nobody can call this agency.
    pub inbound: Option<SocketAddr>,
    /// Plain HTTP for the operator: /healthz, /readyz, /metrics, /snapshot. Default 127.0.0.1:15003.
    pub admin: SocketAddr,
}

impl Default for Listen {
    fn default() -> Self {
        Self {
            outbound: BindAddress::Tcp((Ipv4Addr::LOCALHOST, 15_001).into()),
            inbound: None,
            admin: (Ipv4Addr::LOCALHOST, 15_003).into(),
        }
    }
}
