//! Where the control plane is reached.

use std::{
    net::{Ipv4Addr, SocketAddr},
    path::PathBuf,
};

use serde::Deserialize;

/// Addresses of the listeners; port 0 picks a free one, written to `<stateDir>/addresses.json`.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Listen {
    /// TLS 1.3; a client certificate is required by every call except enrolment. Default 127.0.0.1:15443.
    pub sidecars: SocketAddr,
    /// Mutual TLS with an admin certificate. Unset: admins come by the socket only.
    pub admin: Option<SocketAddr>,
    /// Unix socket for admins on this machine, mode 0600. Unset: `<stateDir>/admin.sock`.
    pub admin_socket: Option<PathBuf>,
    /// Plain HTTP: /healthz, /readyz, /metrics; nothing secret. Default 127.0.0.1:15480.
    pub http: SocketAddr,
}

impl Default for Listen {
    fn default() -> Self {
        Self {
            sidecars: (Ipv4Addr::LOCALHOST, 15_443).into(),
            admin: None,
            admin_socket: None,
            http: (Ipv4Addr::LOCALHOST, 15_480).into(),
        }
    }
}
