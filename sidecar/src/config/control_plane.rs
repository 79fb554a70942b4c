//! How the control plane is reached.

use std::{path::PathBuf, time::Duration};

use serde::Deserialize;

use super::HostPort;

/// The control plane's address and how patient the sidecar is with it.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ControlPlane {
    /// Its listener for sidecars.
    pub address: HostPort,
    /// File that holds the enrolment token; only read while there is no certificate. Unset: the environment variable
    /// CHAPAR_TOKEN.
    #[serde(default)]
    pub token_file: Option<PathBuf>,
    /// How long connecting, TLS included, may take, in milliseconds. Default 5,000.
    #[serde(default = "connect_timeout_ms")]
    pub connect_timeout_ms: u32,
    /// How long one request may take to be answered, in milliseconds; the snapshot's stream is none. Default 10,000.
    #[serde(default = "request_timeout_ms")]
    pub request_timeout_ms: u32,
    /// Silence after which the connection is probed, in milliseconds. Default 10,000.
    #[serde(default = "keepalive_ms")]
    pub keepalive_ms: u32,
    /// The first wait before trying again, in milliseconds; it doubles each time, with jitter. Default 200.
    #[serde(default = "retry_ms_min")]
    pub retry_ms_min: u32,
    /// The longest wait before trying again, in milliseconds. Default 10,000: a control plane that comes back has all its
    /// sidecars within that time, yet not all at once.
    #[serde(default = "retry_ms_max")]
    pub retry_ms_max: u32,
}

const fn connect_timeout_ms() -> u32 {
    5_000
}

const fn request_timeout_ms() -> u32 {
    10_000
}

const fn keepalive_ms() -> u32 {
    10_000
}

const fn retry_ms_min() -> u32 {
    200
}

const fn retry_ms_max() -> u32 {
    10_000
}

impl ControlPlane {
    pub(super) fn check(&self) -> Result<(), (String, String)> {
        let times_ms = [
            ("connectTimeoutMs", self.connect_timeout_ms),
            ("requestTimeoutMs", self.request_timeout_ms),
            ("keepaliveMs", self.keepalive_ms),
            ("retryMsMin", self.retry_ms_min),
        ];
        if let Some((field, _)) = times_ms.iter().find(|(_, time_ms)| *time_ms == 0) {
            return Err((format!("controlPlane.{field}"), "must be more than 0".to_owned()));
        }
        if self.retry_ms_max < self.retry_ms_min {
            return Err(("controlPlane.retryMsMax".to_owned(), format!("must be at least retryMsMin ({})", self.retry_ms_min)));
        }
        Ok(())
    }

    /// See `connect_timeout_ms`.
    #[must_use]
    pub const fn connect_timeout(&self) -> Duration {
        Duration::from_millis(self.connect_timeout_ms as u64)
    }

    /// See `request_timeout_ms`.
    #[must_use]
    pub const fn request_timeout(&self) -> Duration {
        Duration::from_millis(self.request_timeout_ms as u64)
    }

    /// See `keepalive_ms`.
    #[must_use]
    pub const fn keepalive(&self) -> Duration {
        Duration::from_millis(self.keepalive_ms as u64)
    }
}
